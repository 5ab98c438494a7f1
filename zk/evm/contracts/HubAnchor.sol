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
    /// The latest checkpoint, the block and time (Unix seconds) in which it was anchored, and how
    /// many there are.
    struct Checkpoint {
        bytes32 root;
        uint64 size;
        uint64 blockNumber;
        uint64 time;
        uint64 count;
    }

    event Anchored(uint64 indexed size, bytes32 root);

    /// The size is not larger than the latest, or is 2^48 or more.
    error NotGrowing();

    /// The root is zero.
    error RootInvalid();

    /// The latest checkpoint is not proven to be the beginning of this one.
    error NotConsistent();

    bytes32 private constant CHECKPOINT = keccak256("Checkpoint(string origin,uint64 size,bytes32 root)");

    /// Keccak-256 of the ledger's name.
    bytes32 public immutable originHash;

    Checkpoint private _latest;

    // Size (48 bits) and block (32 bits) of each checkpoint, three in a word, ascending.
    uint256 private constant LANES = 3;
    uint256 private constant LANE_BITS = 80;
    uint256 private constant BLOCK_BITS = 32;
    mapping(uint256 page => uint256 lanes) private _history;

    constructor(Registry registry_, string memory origin) Quorate(registry_) {
        originHash = keccak256(bytes(origin));
    }

    /// Anchors a checkpoint that extends the latest. Before the first there is nothing to extend,
    /// and consistency is empty.
    function anchor(uint64 size, bytes32 root, bytes32[] calldata consistency, bytes calldata signatures) external {
        Checkpoint memory last = _latest;
        if (size <= last.size || size >> 48 != 0) revert NotGrowing();
        if (root == 0) revert RootInvalid();
        if (last.size == 0 ? consistency.length != 0 : !MerkleTree.extends(last.root, last.size, root, size, consistency)) {
            revert NotConsistent();
        }
        _requireQuorum(keccak256(abi.encode(CHECKPOINT, originHash, size, root)), signatures);
        _latest = Checkpoint(root, size, uint64(block.number), uint64(block.timestamp), last.count + 1);
        _history[last.count / LANES] |=
            ((uint256(size) << BLOCK_BITS) | uint32(block.number)) << (LANE_BITS * (last.count % LANES));
        emit Anchored(size, root);
    }

    /// Returns the latest checkpoint; its size is 0 if there is none.
    function latest() external view returns (Checkpoint memory) {
        return _latest;
    }

    /// Returns the block in which the checkpoint of a size was anchored, 0 if none was. Its event has
    /// the root.
    function anchoredAt(uint64 size) external view returns (uint256) {
        uint256 from = 0;
        uint256 to = _latest.count;
        while (from < to) {
            uint256 middle = (from + to) / 2;
            uint256 lane = _history[middle / LANES] >> (LANE_BITS * (middle % LANES));
            uint256 found = (lane >> BLOCK_BITS) & ((1 << 48) - 1);
            if (found == size) return uint32(lane);
            if (found < size) from = middle + 1;
            else to = middle;
        }
        return 0;
    }

    /// Reports whether the entry with this leaf hash stands at index of the ledger, according to
    /// the latest checkpoint.
    function includes(bytes32 leaf, uint64 index, bytes32[] calldata path) external view returns (bool) {
        return MerkleTree.includes(_latest.root, _latest.size, leaf, index, path);
    }
}
