// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

/// @title What a contract needs of the verifier of one circuit.
interface IVerifier {
    /// Keccak-256 of the verifying key's words: which circuit this is.
    function keyHash() external view returns (bytes32);

    /// Returns true if the proof is valid for the public inputs, and reverts otherwise.
    function verifyProof(bytes calldata proof, uint256[] calldata inputs) external view returns (bool);
}
