// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

/// @title Statements that replicas sign, as EIP-712 typed data.
/// @notice The domain holds the chain and this contract, so a signature is worth nothing for
/// another. Typed data rather than bare hashes, since signers show them to people.
abstract contract Typed {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME = keccak256("Trialmesh");
    bytes32 private constant VERSION = keccak256("1");

    /// Returns what replicas sign for the statement with this EIP-712 hash.
    function _digest(bytes32 statement) internal view returns (bytes32) {
        bytes32 domain = keccak256(abi.encode(DOMAIN_TYPE, NAME, VERSION, block.chainid, address(this)));
        return keccak256(abi.encodePacked(hex"1901", domain, statement));
    }
}
