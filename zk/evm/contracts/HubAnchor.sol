// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {MerkleTree} from "./MerkleTree.sol";
import {Quorate} from "./Quorate.sol";
import {Registry} from "./Registry.sol";

/// @title The checkpoints of one hub's ledger, append-only.
/// @notice A checkpoint is the number of leaves and the Merkle root over them, signed by a quorum
/// of replicas. Each comes with the proof that it extends the one before it (RFC 6962), which
/// this contract checks: a hub that rewrites its history finds nobody here to take it, not even
/// with all its replicas.
contract HubAnchor is Quorate {
    /// The latest checkpoint, and the block and time (Unix seconds) in which it was anchored.
    struct Checkpoint {
        bytes32 root;
        uint64 size;
        uint64 blockNumber;
        uint64 time;
    }

    event Anchored(uint64 indexed size, bytes32 root);

    /// The size is not larger than the latest.
    error NotGrowing();

    /// The root is zero.
    error RootInvalid();

    /// The latest checkpoint is not proven to be the beginning of this one.
    error NotConsistent();

    bytes32 private constant CHECKPOINT = keccak256("Checkpoint(string origin,uint64 size,bytes32 root)");

    /// Keccak-256 of the ledger's name.
    bytes32 public immutable originHash;

    Checkpoint private _latest;

    /// The block in which the checkpoint of a size was anchored, 0 if none was. Its event has the root.
    mapping(uint64 size => uint256 blockNumber) public anchoredAt;

    constructor(Registry registry_, string memory origin) Quorate(registry_) {
        originHash = keccak256(bytes(origin));
    }

    /// Anchors a checkpoint that extends the latest. Before the first there is nothing to extend,
    /// and consistency is empty.
    function anchor(uint64 size, bytes32 root, bytes32[] calldata consistency, bytes calldata signatures) external {
        Checkpoint memory last = _latest;
        if (size <= last.size) revert NotGrowing();
        if (root == 0) revert RootInvalid();
        if (last.size == 0 ? consistency.length != 0 : !MerkleTree.extends(last.root, last.size, root, size, consistency)) {
            revert NotConsistent();
        }
        _requireQuorum(keccak256(abi.encode(CHECKPOINT, originHash, size, root)), signatures);
        _latest = Checkpoint(root, size, uint64(block.number), uint64(block.timestamp));
        anchoredAt[size] = block.number;
        emit Anchored(size, root);
    }

    /// Returns the latest checkpoint; its size is 0 if there is none.
    function latest() external view returns (Checkpoint memory) {
        return _latest;
    }

    /// Reports whether the entry with this leaf hash stands at index of the ledger, according to
    /// the latest checkpoint.
    function includes(bytes32 leaf, uint64 index, bytes32[] calldata path) external view returns (bool) {
        return MerkleTree.includes(_latest.root, _latest.size, leaf, index, path);
    }
}
