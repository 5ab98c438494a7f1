// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {Quorate} from "./Quorate.sol";
import {Registry} from "./Registry.sol";

/// @title The latest consent root of each node and trial.
/// @notice Storage holds the latest, events hold all. The ledger index is where the node's
/// signed root stands in the hub's ledger; it only grows, so a withdrawn consent cannot come
/// back by posting an old root again.
contract ConsentRoots is Quorate {
    /// One root to post. The digest stands for the shard roots of the node's epoch.
    struct Root {
        bytes32 node;
        bytes32 trial;
        bytes32 digest;
        uint64 ledgerIndex;
    }

    /// The latest root of a node and trial; blockNumber 0 if there is none.
    struct Posted {
        bytes32 digest;
        uint64 ledgerIndex;
        uint64 blockNumber;
    }

    event RootPosted(bytes32 indexed node, bytes32 indexed trial, bytes32 digest, uint64 ledgerIndex);

    /// The batch is empty or holds more than 64 roots.
    error BatchInvalid();

    /// A digest is zero.
    error RootInvalid();

    /// The root at this place of the batch is not newer than the one on the chain.
    error NotNewer(uint256 position);

    uint256 private constant MAX_BATCH = 64;
    bytes32 private constant ROOT = keccak256("Root(bytes32 node,bytes32 trial,bytes32 digest,uint64 ledgerIndex)");
    bytes32 private constant ROOTS =
        keccak256("Roots(Root[] roots)Root(bytes32 node,bytes32 trial,bytes32 digest,uint64 ledgerIndex)");

    mapping(bytes32 node => mapping(bytes32 trial => Posted)) private _latest;

    constructor(Registry registry_) Quorate(registry_) {}

    /// Posts all roots or none. Signatures need no nonce: a root is posted once.
    function postRoots(Root[] calldata roots, bytes calldata signatures) external {
        if (roots.length == 0 || roots.length > MAX_BATCH) revert BatchInvalid();
        bytes32[] memory hashes = new bytes32[](roots.length);
        for (uint256 i = 0; i < roots.length; i++) {
            Root calldata root = roots[i];
            hashes[i] = keccak256(abi.encode(ROOT, root));
            if (root.digest == 0) revert RootInvalid();
            Posted storage latest = _latest[root.node][root.trial];
            if (latest.blockNumber != 0 && root.ledgerIndex <= latest.ledgerIndex) revert NotNewer(i);
            latest.digest = root.digest;
            latest.ledgerIndex = root.ledgerIndex;
            latest.blockNumber = uint64(block.number);
            emit RootPosted(root.node, root.trial, root.digest, root.ledgerIndex);
        }
        _requireQuorum(keccak256(abi.encode(ROOTS, keccak256(abi.encodePacked(hashes)))), signatures);
    }

    /// Returns the latest root of a node in a trial.
    function latestRoot(bytes32 node, bytes32 trial) external view returns (Posted memory) {
        return _latest[node][trial];
    }
}
