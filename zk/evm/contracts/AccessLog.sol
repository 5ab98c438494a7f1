// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {Groth16Verifier} from "./Groth16Verifier.sol";
import {Quorate} from "./Quorate.sol";
import {Registry} from "./Registry.sol";

/// @title Proven accesses: one entry for each node and question.
/// @notice It is itself the verifier of one circuit, which saves a call to another contract.
/// Anyone may log, since nothing that is logged rests on the sender:
///  - the root under which consents were proven must be one that a quorum of replicas accepted
///    for the node, so nobody proves over consents of their own invention;
///  - the question's hash is computed here, of node, question, chain and this contract, and is
///    an input of the proof, so nobody logs a proof in another's place or again elsewhere.
/// Wherever inputs are passed they are the circuit's without that hash.
/// Whether the statement is what the question needs (its scopes, its minimum) is for the reader to
/// compare with the ledger: the entry has the hash of the statement.
contract AccessLog is Quorate, Groth16Verifier {
    /// A root to accept: the public input for the consents of a node, and until when (Unix
    /// seconds) accesses under it may be logged. The past withdraws it.
    struct Root {
        bytes32 node;
        uint256 root;
        uint64 until;
    }

    /// What was accepted: until when, and the number of its node here.
    struct Accepted {
        uint64 until;
        uint32 number;
    }

    event RootAccepted(bytes32 indexed node, uint256 root, uint64 until);
    event AccessLogged(bytes32 indexed node, bytes32 indexed question, bytes32 statement);

    /// The accesses of a batch, in its order; questions has one for all or one for each.
    event BatchLogged(bytes32[] nodes, bytes32[] questions, bytes32[] statements);

    /// No quorum accepted the root for this node, or not for so long.
    error RootNotAccepted();

    /// The node's access for this question is in the log already. The key is never the proof:
    /// anyone can turn a Groth16 proof into another valid one for the same statement.
    error AlreadyLogged();

    /// A position is not one of the key's inputs, or both are one.
    error PositionInvalid();

    /// The batch is empty, or the signatures are of an earlier acceptance.
    error BatchInvalid();

    /// The circuit or the node was revoked.
    error Revoked();

    bytes32 private constant ROOT = keccak256("Root(bytes32 node,uint256 root,uint64 until)");
    bytes32 private constant ACCEPT =
        keccak256("Accept(uint256 number,Root[] roots)Root(bytes32 node,uint256 root,uint64 until)");

    // The blocks of eight nodes share a word: the accesses of one question cost one new word for
    // eight. At a block a second 32 bits last until 2106.
    uint256 private constant LANES = 8;
    uint256 private constant LANE_BITS = 32;
    uint256 private constant LANE = (1 << LANE_BITS) - 1;

    /// Which public input is the question's hash, and which the consents' root.
    uint256 public immutable queryPosition;
    uint256 public immutable rootPosition;

    /// How often roots were accepted; the number of the next time. It makes signatures good once,
    /// so that a withdrawn root does not come back.
    uint256 public acceptances;

    /// How many nodes have a number.
    uint32 public nodeCount;

    mapping(bytes32 node => uint32 numberAfter) private _numbers; // the number and one, 0 for none
    mapping(bytes32 node => mapping(uint256 root => Accepted)) private _accepted;
    mapping(bytes32 question => mapping(uint256 page => uint256 blocks)) private _logged;

    constructor(Registry registry_, uint256[] memory key, uint256 queryPosition_, uint256 rootPosition_)
        Quorate(registry_)
        Groth16Verifier(key)
    {
        if (queryPosition_ >= inputCount || rootPosition_ >= inputCount || queryPosition_ == rootPosition_) {
            revert PositionInvalid();
        }
        queryPosition = queryPosition_;
        rootPosition = rootPosition_;
    }

    /// Accepts roots, or withdraws them. A circuit or a node that was revoked gets no more.
    function accept(uint256 number, Root[] calldata roots, bytes calldata signatures) external {
        if (roots.length == 0 || number != acceptances) revert BatchInvalid();
        bool revoked = !registry.circuitActive(keyHash);
        acceptances = number + 1;
        bytes32[] memory hashes = new bytes32[](roots.length);
        for (uint256 i = 0; i < roots.length; i++) {
            Root calldata root = roots[i];
            hashes[i] = keccak256(abi.encode(ROOT, root));
            if (root.until >= block.timestamp && (revoked || registry.nodeRevoked(root.node))) revert Revoked();
            if (_numbers[root.node] == 0) _numbers[root.node] = ++nodeCount;
            _accepted[root.node][root.root] = Accepted(root.until, _numbers[root.node] - 1);
            emit RootAccepted(root.node, root.root, root.until);
        }
        _requireQuorum(keccak256(abi.encode(ACCEPT, number, keccak256(abi.encodePacked(hashes)))), signatures);
    }

    /// Returns true if the proof is valid for the inputs, the node and the question, and reverts
    /// otherwise. It returns something so that a call to an address without code, which succeeds
    /// with nothing, cannot be taken for a valid proof. It asks for no root.
    function verifyAccess(bytes32 node, bytes32 question, bytes calldata proof, uint256[] calldata inputs)
        external
        view
        returns (bool)
    {
        if (inputs.length + 1 != inputCount) revert LengthInvalid();
        uint256[] memory statement = new uint256[](inputCount);
        _complete(node, question, statement, inputs, 0);
        _verifyProof(proof, statement);
        return true;
    }

    /// Verifies an access and logs it, once.
    function logAccess(bytes32 node, bytes32 question, bytes calldata proof, uint256[] calldata inputs) external {
        if (inputs.length + 1 != inputCount) revert LengthInvalid();
        uint256[] memory statement = new uint256[](inputCount);
        (uint256 root, bytes32 hash) = _complete(node, question, statement, inputs, 0);
        _log(node, question, root);
        _verifyProof(proof, statement);
        emit AccessLogged(node, question, hash);
    }

    /// Verifies and logs accesses: all or none. There is one question for all or one for each.
    /// Proofs are 256 bytes each, and the inputs of one access follow those of another.
    function logBatch(
        bytes32[] calldata nodes,
        bytes32[] calldata questions,
        bytes calldata proofs,
        uint256[] calldata inputs
    ) external {
        uint256 count = nodes.length;
        bool each = questions.length != 1;
        if (inputs.length != (inputCount - 1) * count || (each && questions.length != count)) revert LengthInvalid();
        uint256[] memory statements = new uint256[](inputCount * count);
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            hashes[i] = _logOne(nodes[i], questions[each ? i : 0], statements, inputs, i);
        }
        _verifyBatch(proofs, statements);
        emit BatchLogged(nodes, questions, hashes);
    }

    /// Returns the block in which an access was logged, 0 if it was not.
    function loggedAt(bytes32 node, bytes32 question) external view returns (uint256) {
        uint256 number = _numbers[node];
        if (number == 0) return 0;
        number--;
        return (_logged[question][number / LANES] >> (LANE_BITS * (number % LANES))) & LANE;
    }

    /// Returns until when accesses under a root of a node may be logged, 0 if it was never accepted.
    function acceptedUntil(bytes32 node, uint256 root) external view returns (uint64) {
        return _accepted[node][root].until;
    }

    /// Returns the public input that makes a proof good for one node, question, chain and contract:
    /// the upper 248 bits of a hash, so that it is below the field's order.
    function queryHash(bytes32 node, bytes32 question) public view returns (uint256) {
        // keccak256(abi.encodePacked(block.chainid, address(this), node, question)), for less gas.
        uint256 hash;
        assembly ("memory-safe") {
            let text := mload(0x40)
            mstore(text, chainid())
            mstore(add(text, 0x20), shl(96, address()))
            mstore(add(text, 0x34), node)
            mstore(add(text, 0x54), question)
            hash := shr(8, keccak256(text, 0x74))
        }
        return hash;
    }

    function _logOne(
        bytes32 node,
        bytes32 question,
        uint256[] memory statements,
        uint256[] calldata inputs,
        uint256 i
    ) private returns (bytes32 hash) {
        uint256 root;
        (root, hash) = _complete(node, question, statements, inputs, i);
        _log(node, question, root);
    }

    /// Writes statement i of several, which is its inputs with the question's hash among them, and
    /// returns the root in it and its own hash.
    function _complete(
        bytes32 node,
        bytes32 question,
        uint256[] memory statements,
        uint256[] calldata inputs,
        uint256 i
    ) private view returns (uint256 root, bytes32 hash) {
        uint256 query = queryHash(node, question);
        uint256 size = inputCount << 5;
        uint256 hashOffset = queryPosition << 5;
        uint256 rootOffset = rootPosition << 5;
        assembly ("memory-safe") {
            let to := add(add(statements, 0x20), mul(size, i))
            let from := add(inputs.offset, mul(sub(size, 0x20), i))
            calldatacopy(to, from, hashOffset)
            mstore(add(to, hashOffset), query)
            calldatacopy(add(add(to, hashOffset), 0x20), add(from, hashOffset), sub(size, add(hashOffset, 0x20)))
            root := mload(add(to, rootOffset))
            hash := keccak256(to, size)
        }
    }

    /// Marks the access of a node for a question as logged in this block.
    function _log(bytes32 node, bytes32 question, uint256 root) private {
        Accepted memory accepted = _accepted[node][root];
        if (block.timestamp > accepted.until) revert RootNotAccepted();
        uint256 shift = LANE_BITS * (accepted.number % LANES);
        mapping(uint256 => uint256) storage pages = _logged[question];
        uint256 blocks = pages[accepted.number / LANES];
        if ((blocks >> shift) & LANE != 0 || block.number > LANE) revert AlreadyLogged();
        pages[accepted.number / LANES] = blocks | (block.number << shift);
    }
}
