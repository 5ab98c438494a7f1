// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {Registry} from "./Registry.sol";
import {Typed} from "./Typed.sol";

/// @title A contract that believes what a quorum of the hub's replicas signed.
/// @notice Who sends a transaction means nothing: the signatures are the authority, and anyone
/// may pay for bringing them.
abstract contract Quorate is Typed {
    /// Who the replicas are, and which circuits and nodes count.
    Registry public immutable registry;

    constructor(Registry registry_) {
        registry = registry_;
    }

    function _requireQuorum(bytes32 statement, bytes calldata signatures) internal view {
        registry.requireQuorum(_digest(statement), signatures);
    }
}
