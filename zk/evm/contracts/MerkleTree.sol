// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

/// @title Proofs about Merkle trees of RFC 6962, as RFC 9162 (2.1.3.2, 2.1.4.2) checks them.
library MerkleTree {
    /// Reports whether a leaf hash stands at index, 0 <= index < size, of the tree with this root.
    function includes(bytes32 root, uint64 size, bytes32 leaf, uint64 index, bytes32[] calldata path)
        internal
        view
        returns (bool)
    {
        if (index >= size) return false;
        uint256 node = index;
        uint256 last = size - 1;
        bytes32 hash = leaf;
        for (uint256 i = 0; i < path.length; i++) {
            if (last == 0) return false;
            if (node & 1 == 1 || node == last) {
                hash = _parent(path[i], hash);
                while (node & 1 == 0 && node != 0) {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                hash = _parent(hash, path[i]);
            }
            node >>= 1;
            last >>= 1;
        }
        return last == 0 && hash == root;
    }

    /// Reports whether the tree of oldSize leaves, 0 < oldSize < newSize, begins the one of newSize.
    function extends(
        bytes32 oldRoot,
        uint64 oldSize,
        bytes32 newRoot,
        uint64 newSize,
        bytes32[] calldata path
    ) internal view returns (bool) {
        if (oldSize == 0 || oldSize >= newSize) return false;
        uint256 node = oldSize - 1;
        uint256 last = newSize - 1;
        while (node & 1 == 1) {
            node >>= 1;
            last >>= 1;
        }
        // A whole subtree is its own beginning: the path leaves its hash out, since it is oldRoot.
        bytes32 hash = oldRoot;
        uint256 i = 0;
        if (node != 0) {
            if (path.length == 0) return false;
            hash = path[0];
            i = 1;
        }
        bytes32 older = hash;
        bytes32 newer = hash;
        for (; i < path.length; i++) {
            if (last == 0) return false;
            if (node & 1 == 1 || node == last) {
                older = _parent(path[i], older);
                newer = _parent(path[i], newer);
                while (node & 1 == 0 && node != 0) {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                newer = _parent(newer, path[i]);
            }
            node >>= 1;
            last >>= 1;
        }
        return last == 0 && older == oldRoot && newer == newRoot;
    }

    /// Returns SHA-256(1, left, right).
    function _parent(bytes32 left, bytes32 right) private view returns (bytes32 hash) {
        assembly ("memory-safe") {
            // 65 bytes that end after right; bytes 31 to 96 of the free memory.
            let at := mload(0x40)
            mstore8(add(at, 0x1f), 1)
            mstore(add(at, 0x20), left)
            mstore(add(at, 0x40), right)
            // The precompile fails for want of gas only.
            if iszero(staticcall(gas(), 0x02, add(at, 0x1f), 0x41, 0x00, 0x20)) { revert(0, 0) }
            hash := mload(0x00)
        }
    }
}
