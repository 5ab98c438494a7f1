// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {Replicated} from "./Replicated.sol";

/// @title The checkpoints of one hub's ledger, append-only.
/// @notice A checkpoint is the number of leaves and the Merkle root over them. The number only
/// grows, and what was anchored for a number stays: a hub that rewrites its history cannot
/// rewrite it here. That one root extends another is proven off chain (RFC 6962 consistency).
contract HubAnchor is Replicated {
    /// A checkpoint and the block and time (Unix seconds) in which it was anchored.
    struct Checkpoint {
        bytes32 root;
        uint64 blockNumber;
        uint64 time;
    }

    event Anchored(uint64 indexed size, bytes32 root);

    /// The size is not larger than the latest.
    error NotGrowing();

    /// The root is zero.
    error RootInvalid();

    /// Leaves under the latest checkpoint, 0 before the first.
    uint64 public latestSize;

    mapping(uint64 size => Checkpoint) private _checkpoints;

    constructor(address[] memory replicas) Replicated(replicas) {}

    /// Anchors a checkpoint over more leaves than any before it.
    function anchor(uint64 size, bytes32 root) external onlyReplica {
        if (size <= latestSize) revert NotGrowing();
        if (root == 0) revert RootInvalid();
        latestSize = size;
        _checkpoints[size] = Checkpoint(root, uint64(block.number), uint64(block.timestamp));
        emit Anchored(size, root);
    }

    /// Returns the checkpoint over exactly size leaves; its root is zero if there is none.
    function checkpoint(uint64 size) external view returns (Checkpoint memory) {
        return _checkpoints[size];
    }
}
