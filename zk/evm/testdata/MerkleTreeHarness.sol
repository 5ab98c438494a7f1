// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {MerkleTree} from "./MerkleTree.sol";

/// @title The library's functions as a contract, for tests.
contract MerkleTreeHarness {
    function includes(bytes32 root, uint64 size, bytes32 leaf, uint64 index, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        return MerkleTree.includes(root, size, leaf, index, path);
    }

    function extends(bytes32 oldRoot, uint64 oldSize, bytes32 newRoot, uint64 newSize, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        return MerkleTree.extends(oldRoot, oldSize, newRoot, newSize, path);
    }
}
