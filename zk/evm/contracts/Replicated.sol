// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

/// @title A contract that only the hub's replicas write to.
/// @notice The set is fixed when the contract is deployed and there is no owner: a hub whose
/// replicas change deploys anew and says so on its ledger.
abstract contract Replicated {
    /// The sender is not one of the hub's replicas.
    error NotReplica();

    /// No replica, too many, one twice, or the zero address.
    error ReplicasInvalid();

    uint256 private constant MAX_REPLICAS = 16;

    mapping(address => bool) public isReplica;

    constructor(address[] memory replicas) {
        if (replicas.length == 0 || replicas.length > MAX_REPLICAS) revert ReplicasInvalid();
        for (uint256 i = 0; i < replicas.length; i++) {
            if (replicas[i] == address(0) || isReplica[replicas[i]]) revert ReplicasInvalid();
            isReplica[replicas[i]] = true;
        }
    }

    modifier onlyReplica() {
        if (!isReplica[msg.sender]) revert NotReplica();
        _;
    }
}
