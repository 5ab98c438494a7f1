// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {Quorate} from "./Quorate.sol";
import {Registry} from "./Registry.sol";

/// @title Enrollments: one person, one trial, once, and nobody learns who.
/// @notice A proof says that somebody whose secret is in the tree under the root enrolls; the
/// nullifier is made of the secret and the trial, so a second enrollment has the same one. The
/// signal is the hash of what is enrolled with, and the proof is good for no other: whoever sees
/// the transaction and sends it first has enrolled the same person with the same content. A trial's
/// id must name its chain and contract, else a nullifier could be linked across them. The consent
/// was in force at the statement's time, which may be no longer ago than this contract allows.
contract Enrollment is Quorate {
    /// What an enrollment states, in the order of the circuit's public inputs.
    struct Statement {
        uint256 root;
        uint256 trial;
        uint256 nullifier;
        uint256 signal;
        uint256 time; // at which the consent is in force, Unix seconds
    }

    event RootAccepted(uint256 indexed root, uint64 until);
    event Enrolled(uint256 indexed trial, uint256 indexed nullifier, uint256 signal);

    /// No quorum accepted the root, or not for so long.
    error RootNotAccepted();

    /// This person is enrolled in this trial already.
    error AlreadyEnrolled();

    /// The consent was in force too long ago, or is to be in the future.
    error TimeInvalid();

    /// The signatures are of an earlier acceptance.
    error NumberInvalid();

    bytes32 private constant ACCEPT = keccak256("AcceptRoot(uint256 number,uint256 root,uint64 until)");

    /// How far a prover's clock may be ahead.
    uint256 private constant AHEAD = 10 minutes;

    /// The circuit of the registry.
    bytes32 public immutable circuit;

    /// How long after its time a statement may be brought here, in seconds.
    uint256 public immutable maxAge;

    /// How often roots were accepted; the number of the next time.
    uint256 public acceptances;

    /// Until when (Unix seconds) proofs under a root count.
    mapping(uint256 root => uint64) public acceptedUntil;

    /// The block in which a nullifier was used in a trial, 0 if it was not.
    mapping(uint256 trial => mapping(uint256 nullifier => uint256 blockNumber)) public enrolledAt;

    constructor(Registry registry_, bytes32 circuit_, uint256 maxAge_) Quorate(registry_) {
        circuit = circuit_;
        maxAge = maxAge_;
    }

    /// Accepts a root, or withdraws it with a time that is past.
    function acceptRoot(uint256 number, uint256 root, uint64 until, bytes calldata signatures) external {
        if (number != acceptances) revert NumberInvalid();
        _requireQuorum(keccak256(abi.encode(ACCEPT, number, root, until)), signatures);
        acceptances = number + 1;
        acceptedUntil[root] = until;
        emit RootAccepted(root, until);
    }

    /// Enrolls whoever made the proof. Anyone may send it.
    function enroll(bytes calldata proof, Statement calldata s) external {
        if (block.timestamp > acceptedUntil[s.root]) revert RootNotAccepted();
        if (s.time > block.timestamp + AHEAD || s.time + maxAge < block.timestamp) revert TimeInvalid();
        if (enrolledAt[s.trial][s.nullifier] != 0) revert AlreadyEnrolled();
        enrolledAt[s.trial][s.nullifier] = block.number;
        uint256[] memory inputs = new uint256[](5);
        inputs[0] = s.root;
        inputs[1] = s.trial;
        inputs[2] = s.nullifier;
        inputs[3] = s.signal;
        inputs[4] = s.time;
        registry.verify(circuit, proof, inputs);
        emit Enrolled(s.trial, s.nullifier, s.signal);
    }
}
