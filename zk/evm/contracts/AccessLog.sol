// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {Groth16Verifier} from "./Groth16Verifier.sol";
import {Replicated} from "./Replicated.sol";

/// @title Proven accesses: one event for each node and question.
/// @notice It is itself the verifier of one circuit, which saves a call to another contract.
/// Anyone may verify. Only replicas log, since a stranger could make a valid proof over
/// consents of their own invention and take a node's place in the log with it. The event
/// carries the whole statement; whether its consent roots are those of the ledger is for the
/// reader to compare.
contract AccessLog is Replicated, Groth16Verifier {
    event AccessLogged(bytes32 indexed node, bytes32 indexed queryHash, uint256[] inputs);

    /// The statement that was proven is about another question.
    error QueryMismatch();

    /// The node's access for this question is in the log already. The key is never the proof:
    /// anyone can turn a Groth16 proof into another valid one for the same statement.
    error AlreadyLogged();

    /// The position of the question among the inputs is not one of the key's.
    error PositionInvalid();

    /// Which public input is the question's hash.
    uint256 public immutable queryPosition;

    /// The block in which an access was logged, 0 if it was not.
    mapping(bytes32 node => mapping(bytes32 queryHash => uint256 blockNumber)) public loggedAt;

    constructor(address[] memory replicas, uint256[] memory key, uint256 queryPosition_)
        Replicated(replicas)
        Groth16Verifier(key)
    {
        if (queryPosition_ >= inputCount) revert PositionInvalid();
        queryPosition = queryPosition_;
    }

    /// Returns true if the proof is valid for the inputs and they are about the question, and
    /// reverts otherwise. It returns something so that a call to an address without code, which
    /// succeeds with nothing, cannot be taken for a valid proof.
    function verifyAccess(bytes32 queryHash, bytes calldata proof, uint256[] calldata inputs)
        public
        view
        returns (bool)
    {
        if (inputs.length <= queryPosition || inputs[queryPosition] != uint256(queryHash)) revert QueryMismatch();
        verifyProof(proof, inputs);
        return true;
    }

    /// Verifies an access and logs it, once.
    function logAccess(bytes32 node, bytes32 queryHash, bytes calldata proof, uint256[] calldata inputs)
        external
        onlyReplica
    {
        if (loggedAt[node][queryHash] != 0) revert AlreadyLogged();
        verifyAccess(queryHash, proof, inputs);
        loggedAt[node][queryHash] = block.number;
        emit AccessLogged(node, queryHash, inputs);
    }
}
