// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {Quorate} from "./Quorate.sol";
import {Registry} from "./Registry.sol";

/// @title The chain of custody of an investigational product, serial numbers hidden.
/// @notice A note stands for product in somebody's hands. A transfer proves that its sender held a
/// note of the tree under notes, that the receiver is among keepers and accepted, and that
/// temperatures stayed within bounds; it spends the old note by its nullifier and makes two of the
/// same quantity together: what was given and what was kept, of which the latter may be nothing.
/// The tree of notes is hashed with Poseidon2, too dear to compute here: notes are numbered in
/// their order instead, so that anyone rebuilds the tree from the events, and a quorum of replicas,
/// which did, accepts its roots.
contract Custody is Quorate {
    /// What a transfer states, in the order of the circuit's public inputs.
    struct Transfer {
        uint256 keepers; // root of those who may take product
        uint256 notes; // root of the notes
        uint256 nullifier;
        uint256 given;
        uint256 kept;
        uint256 time; // of the hand-over, Unix seconds
        uint256 low; // bounds of the temperatures: hundredths of a degree Celsius, plus 2^15
        uint256 high;
    }

    event TermsAccepted(uint256 indexed keepers, uint256 low, uint256 high, uint64 until);
    event NotesAccepted(uint256 indexed notes, uint64 until);
    event NoteAdded(uint256 indexed number, uint256 note);
    event Transferred(uint256 indexed nullifier, uint256 indexed given, uint256 indexed kept, uint256 time);

    /// No quorum accepted the root with these bounds, or not for so long.
    error TermsNotAccepted();

    /// No quorum accepted the root of notes, or not for so long.
    error NotesNotAccepted();

    /// The note was handed on already.
    error AlreadySpent();

    /// A new note is one that there was before. Two that are equal could be spent only once.
    error NoteKnown();

    /// The hand-over is in the future, or too long ago.
    error TimeInvalid();

    /// The signatures are of an earlier statement.
    error NumberInvalid();

    bytes32 private constant TERMS =
        keccak256("AcceptTerms(uint256 number,uint256 keepers,uint256 low,uint256 high,uint64 until)");
    bytes32 private constant NOTES = keccak256("AcceptNotes(uint256 number,uint256 notes,uint64 until)");
    bytes32 private constant ISSUE = keccak256("Issue(uint256 number,uint256 note)");

    /// How far a sender's clock may be ahead.
    uint256 private constant AHEAD = 10 minutes;

    /// The circuit of the registry.
    bytes32 public immutable circuit;

    /// How long after a hand-over it may be brought here, in seconds.
    uint256 public immutable maxAge;

    /// How many statements of replicas there were; the number of the next.
    uint256 public statements;

    /// How many notes there are; the number of the last.
    uint256 public noteCount;

    mapping(bytes32 terms => uint64 until) private _terms;
    mapping(uint256 notes => uint64 until) public notesUntil;

    /// The number of a note, from 1; 0 if there is none.
    mapping(uint256 note => uint256 number) public noteNumber;

    /// The block in which a note with this nullifier was handed on, 0 if it was not.
    mapping(uint256 nullifier => uint256 blockNumber) public spentAt;

    constructor(Registry registry_, bytes32 circuit_, uint256 maxAge_) Quorate(registry_) {
        circuit = circuit_;
        maxAge = maxAge_;
    }

    /// Accepts who may take product and which temperatures are good, or withdraws them with a time
    /// that is past. The bounds are part of it: a sender must not choose them.
    function acceptTerms(
        uint256 number,
        uint256 keepers,
        uint256 low,
        uint256 high,
        uint64 until,
        bytes calldata signatures
    ) external {
        _signed(number, keccak256(abi.encode(TERMS, number, keepers, low, high, until)), signatures);
        _terms[keccak256(abi.encode(keepers, low, high))] = until;
        emit TermsAccepted(keepers, low, high, until);
    }

    /// Accepts a root over notes of this contract, or withdraws it.
    function acceptNotes(uint256 number, uint256 notes, uint64 until, bytes calldata signatures) external {
        _signed(number, keccak256(abi.encode(NOTES, number, notes, until)), signatures);
        notesUntil[notes] = until;
        emit NotesAccepted(notes, until);
    }

    /// Adds the first note of a lot.
    function issue(uint256 number, uint256 note, bytes calldata signatures) external {
        _signed(number, keccak256(abi.encode(ISSUE, number, note)), signatures);
        _add(note);
    }

    /// Hands a note on. Anyone may send the proof.
    function transfer(bytes calldata proof, Transfer calldata t) external {
        if (block.timestamp > _terms[keccak256(abi.encode(t.keepers, t.low, t.high))]) revert TermsNotAccepted();
        if (block.timestamp > notesUntil[t.notes]) revert NotesNotAccepted();
        if (t.time > block.timestamp + AHEAD || t.time + maxAge < block.timestamp) revert TimeInvalid();
        if (spentAt[t.nullifier] != 0) revert AlreadySpent();
        spentAt[t.nullifier] = block.number;
        _add(t.given);
        _add(t.kept);
        uint256[] memory inputs = new uint256[](8);
        inputs[0] = t.keepers;
        inputs[1] = t.notes;
        inputs[2] = t.nullifier;
        inputs[3] = t.given;
        inputs[4] = t.kept;
        inputs[5] = t.time;
        inputs[6] = t.low;
        inputs[7] = t.high;
        registry.verify(circuit, proof, inputs);
        emit Transferred(t.nullifier, t.given, t.kept, t.time);
    }

    function _signed(uint256 number, bytes32 statement, bytes calldata signatures) private {
        if (number != statements) revert NumberInvalid();
        _requireQuorum(statement, signatures);
        statements = number + 1;
    }

    function _add(uint256 note) private {
        if (noteNumber[note] != 0) revert NoteKnown();
        noteNumber[note] = ++noteCount;
        emit NoteAdded(noteCount, note);
    }
}
