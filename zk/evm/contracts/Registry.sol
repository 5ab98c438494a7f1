// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {IVerifier} from "./IVerifier.sol";
import {Typed} from "./Typed.sol";

/// @title Who and what counts: the hub's replicas, the nodes, the circuits.
/// @notice Trust widens only by a proposal: a quorum of replicas signs it, everybody can see it
/// for the length of the delay, a quorum can cancel it, then anyone executes it. Trust is taken
/// away by a quorum at once: a key that leaked must not stay good for a delay. There is no owner.
contract Registry is Typed {
    /// A node. Its key is Ed25519, which no contract checks; readers do.
    struct Node {
        bytes32 key;
        uint64 since;
        uint64 revokedAt;
    }

    /// A circuit, with the contract that verifies its proofs and how (1: Groth16 on BN254).
    struct Circuit {
        IVerifier verifier;
        uint8 scheme;
        uint40 since;
        uint40 revokedAt;
    }

    /// A circuit that counts from the beginning.
    struct FirstCircuit {
        IVerifier verifier;
        uint8 scheme;
    }

    /// A change that waits.
    struct Proposal {
        uint64 readyAt; // 0 if there is none
        uint64 era;
    }

    event ReplicasSet(address[] replicas, uint256 threshold);
    event NodeRegistered(bytes32 indexed id, bytes32 key);
    event NodeRevoked(bytes32 indexed id);
    event CircuitRegistered(bytes32 indexed id, IVerifier verifier, uint8 scheme);
    event CircuitRevoked(bytes32 indexed id);
    event Proposed(uint256 indexed number, bytes change, uint64 readyAt);
    event Executed(uint256 indexed number);
    event Canceled(uint256 indexed number);

    /// No replica, too many, one twice, the zero address, or a threshold that is not a majority.
    error ReplicasInvalid();

    /// The signatures are not those of a quorum: too few, of others, one twice, or not ascending
    /// by the signer's address.
    error QuorumMissing();

    /// Only an executed proposal may do this.
    error NotProposed();

    /// No such proposal, or it was executed, canceled, or overtaken by a new set of replicas.
    error ProposalUnknown();

    /// The delay is not over, or was over so long ago that the proposal has lapsed.
    error ProposalNotDue();

    /// The identifier is taken, also if what it named was revoked.
    error AlreadyRegistered();

    /// The identifier names nothing, or something revoked.
    error NotRegistered();

    /// The verifier is for another key than the identifier says, or the scheme is not known.
    error CircuitInvalid();

    /// The delay is longer than 60 days.
    error DelayInvalid();

    uint256 private constant MAX_REPLICAS = 16;
    uint256 private constant MAX_DELAY = 60 days;

    /// How long a proposal may be executed once it is due.
    uint256 public constant LAPSE = 14 days;

    bytes32 private constant PROPOSE = keccak256("Propose(uint256 number,bytes change)");
    bytes32 private constant CANCEL = keccak256("Cancel(uint256 number)");
    bytes32 private constant REVOKE_NODE = keccak256("RevokeNode(bytes32 id)");
    bytes32 private constant REVOKE_CIRCUIT = keccak256("RevokeCircuit(bytes32 id)");

    /// Seconds between a proposal and its execution.
    uint256 public immutable delay;

    /// How many replicas make a quorum.
    uint256 public threshold;

    /// How often the replicas were set. Proposals of an earlier era are void.
    uint64 public era;

    /// How many proposals there were; the number of the next.
    uint256 public proposals;

    address[] private _replicas;
    mapping(address => bool) public isReplica;
    mapping(bytes32 id => Node) public nodes;
    mapping(bytes32 id => Circuit) public circuits;
    mapping(uint256 number => Proposal) private _proposals;
    mapping(uint256 number => bytes32 hash) private _changes;

    constructor(address[] memory replicas_, uint256 threshold_, uint256 delay_, FirstCircuit[] memory first) {
        if (delay_ > MAX_DELAY) revert DelayInvalid();
        delay = delay_;
        _setReplicas(replicas_, threshold_);
        for (uint256 i = 0; i < first.length; i++) {
            _registerCircuit(first[i].verifier.keyHash(), first[i].verifier, first[i].scheme);
        }
    }

    modifier onlyProposed() {
        if (msg.sender != address(this)) revert NotProposed();
        _;
    }

    /// Proposes a change: the calldata of one of the functions of this contract that only an
    /// executed proposal may call. The replicas sign it with its number, so that their
    /// signatures cannot propose it again.
    function propose(bytes calldata change, bytes calldata signatures) external returns (uint256 number) {
        number = proposals++;
        requireQuorum(_digest(keccak256(abi.encode(PROPOSE, number, keccak256(change)))), signatures);
        uint64 due = uint64(block.timestamp + delay);
        _proposals[number] = Proposal(due, era);
        _changes[number] = keccak256(change);
        emit Proposed(number, change, due);
    }

    /// Executes a proposal that is due. Anyone may.
    function execute(uint256 number, bytes calldata change) external {
        Proposal memory proposal = _proposals[number];
        if (proposal.readyAt == 0 || proposal.era != era || _changes[number] != keccak256(change)) {
            revert ProposalUnknown();
        }
        if (block.timestamp < proposal.readyAt || block.timestamp > proposal.readyAt + LAPSE) revert ProposalNotDue();
        delete _proposals[number];
        delete _changes[number];
        emit Executed(number);
        (bool ok, bytes memory reason) = address(this).call(change);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(reason, 0x20), mload(reason))
            }
        }
    }

    /// Takes a proposal back.
    function cancel(uint256 number, bytes calldata signatures) external {
        if (_proposals[number].readyAt == 0) revert ProposalUnknown();
        requireQuorum(_digest(keccak256(abi.encode(CANCEL, number))), signatures);
        delete _proposals[number];
        delete _changes[number];
        emit Canceled(number);
    }

    /// Replaces the replicas. What was proposed by the earlier ones is void.
    function setReplicas(address[] calldata replicas_, uint256 threshold_) external onlyProposed {
        _setReplicas(replicas_, threshold_);
    }

    /// Registers a node.
    function registerNode(bytes32 id, bytes32 key) external onlyProposed {
        if (nodes[id].since != 0) revert AlreadyRegistered();
        nodes[id] = Node(key, uint64(block.timestamp), 0);
        emit NodeRegistered(id, key);
    }

    /// Registers a circuit. Its id is the Keccak-256 of its verifying key's words.
    function registerCircuit(bytes32 id, IVerifier verifier, uint8 scheme) external onlyProposed {
        _registerCircuit(id, verifier, scheme);
    }

    /// Revokes a node, at once and for good.
    function revokeNode(bytes32 id, bytes calldata signatures) external {
        if (!nodeActive(id)) revert NotRegistered();
        requireQuorum(_digest(keccak256(abi.encode(REVOKE_NODE, id))), signatures);
        nodes[id].revokedAt = uint64(block.timestamp);
        emit NodeRevoked(id);
    }

    /// Revokes a circuit, at once and for good.
    function revokeCircuit(bytes32 id, bytes calldata signatures) external {
        if (!circuitActive(id)) revert NotRegistered();
        requireQuorum(_digest(keccak256(abi.encode(REVOKE_CIRCUIT, id))), signatures);
        circuits[id].revokedAt = uint40(block.timestamp);
        emit CircuitRevoked(id);
    }

    /// Returns the replicas in the order in which they were set.
    function replicas() external view returns (address[] memory) {
        return _replicas;
    }

    /// Returns when a proposal is due, 0 if there is none to execute.
    function readyAt(uint256 number) external view returns (uint64) {
        Proposal memory proposal = _proposals[number];
        return proposal.era == era ? proposal.readyAt : 0;
    }

    /// Reports whether a node is registered and not revoked.
    function nodeActive(bytes32 id) public view returns (bool) {
        return nodes[id].since != 0 && nodes[id].revokedAt == 0;
    }

    /// Reports whether a node was revoked.
    function nodeRevoked(bytes32 id) external view returns (bool) {
        return nodes[id].revokedAt != 0;
    }

    /// Reports whether a circuit is registered and not revoked.
    function circuitActive(bytes32 id) public view returns (bool) {
        Circuit memory circuit = circuits[id];
        return circuit.since != 0 && circuit.revokedAt == 0;
    }

    /// Returns true if the proof is valid for the inputs and its circuit counts, and reverts
    /// otherwise.
    function verify(bytes32 circuit, bytes calldata proof, uint256[] calldata inputs) external view returns (bool) {
        if (!circuitActive(circuit)) revert NotRegistered();
        return circuits[circuit].verifier.verifyProof(proof, inputs);
    }

    /// Reverts unless the signatures over the digest, 65 bytes each (r, s, v), ascending by the
    /// signer's address, are all of replicas and are enough. Another form of a signature (-s) is
    /// as good: it is of the same replica.
    function requireQuorum(bytes32 digest, bytes calldata signatures) public view {
        uint256 count = signatures.length / 65;
        if (count < threshold || count * 65 != signatures.length) revert QuorumMissing();
        address last;
        for (uint256 i = 0; i < count; i++) {
            bytes calldata one = signatures[65 * i:65 * i + 65];
            // ecrecover returns zero for what is no signature; the zero address is no replica.
            address signer = ecrecover(digest, uint8(one[64]), bytes32(one[:32]), bytes32(one[32:64]));
            if (signer <= last || !isReplica[signer]) revert QuorumMissing();
            last = signer;
        }
    }

    function _setReplicas(address[] memory replicas_, uint256 threshold_) private {
        uint256 count = replicas_.length;
        // Two quorums of a majority share a replica, so they cannot sign two histories unless it does.
        if (count == 0 || count > MAX_REPLICAS || threshold_ > count || 2 * threshold_ <= count) revert ReplicasInvalid();
        for (uint256 i = 0; i < _replicas.length; i++) {
            delete isReplica[_replicas[i]];
        }
        for (uint256 i = 0; i < count; i++) {
            if (replicas_[i] == address(0) || isReplica[replicas_[i]]) revert ReplicasInvalid();
            isReplica[replicas_[i]] = true;
        }
        _replicas = replicas_;
        threshold = threshold_;
        era++;
        emit ReplicasSet(replicas_, threshold_);
    }

    function _registerCircuit(bytes32 id, IVerifier verifier, uint8 scheme) private {
        if (circuits[id].since != 0) revert AlreadyRegistered();
        if (scheme != 1 || verifier.keyHash() != id) revert CircuitInvalid();
        circuits[id] = Circuit(verifier, scheme, uint40(block.timestamp), 0);
        emit CircuitRegistered(id, verifier, scheme);
    }
}
