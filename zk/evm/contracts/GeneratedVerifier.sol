// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {IVerifier} from "./IVerifier.sol";

/// @title A verifier that gnark generated, as a verifier of the registry.
/// @notice The generated contract has its key in its source and takes an array of fixed length, so
/// each circuit's has a function of its own. It is deployed as it was generated; this only calls
/// it. That it has the key it is said to have, its source shows: whoever has the key generates the
/// same bytes.
contract GeneratedVerifier is IVerifier {
    /// The number of inputs is not that of the circuit.
    error LengthInvalid();

    /// The generated verifier refuses the proof.
    error ProofInvalid();

    /// There is no contract.
    error GeneratedInvalid();

    address public immutable generated;
    bytes32 public immutable keyHash;
    uint256 public immutable inputCount;
    bytes4 private immutable SELECTOR;

    constructor(address generated_, bytes32 keyHash_, uint256 inputCount_) {
        if (generated_.code.length == 0 || inputCount_ == 0 || inputCount_ > 64) revert GeneratedInvalid();
        generated = generated_;
        keyHash = keyHash_;
        inputCount = inputCount_;
        SELECTOR = bytes4(keccak256(abi.encodePacked("verifyProof(bytes,uint256[", _decimal(inputCount_), "])")));
    }

    function verifyProof(bytes calldata proof, uint256[] calldata inputs) external view returns (bool) {
        if (proof.length != 256 || inputs.length != inputCount) revert LengthInvalid();
        // An array of fixed length stands where it is passed; the proof follows all arguments.
        uint256 offset = 32 * (1 + inputs.length);
        (bool ok,) = generated.staticcall(abi.encodePacked(SELECTOR, offset, inputs, proof.length, proof));
        if (!ok) revert ProofInvalid();
        return true;
    }

    function _decimal(uint256 n) private pure returns (bytes memory) {
        if (n < 10) return abi.encodePacked(uint8(48 + n));
        return abi.encodePacked(uint8(48 + n / 10), uint8(48 + n % 10));
    }
}
