// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

import {IVerifier} from "./IVerifier.sol";

/// @title Groth16 verifier on BN254 for one verifying key, given when it is deployed.
/// @notice Development keys are made on the user's machine, so the key cannot be compiled in.
/// It becomes the code of a data contract that nobody can change; there is no owner.
///
/// Key words (uint256, big-endian; a G2 coordinate is imaginary part first, as EIP-197 wants it):
///   alpha (2)  beta (4)  gamma (4)  delta (4)  IC[0] (2) ... IC[n] (2)
/// as they stand in the verifying key: nothing is negated. Proof words: A (2)  B (4)  C (2).
/// A proof is valid when e(-A, B) e(alpha, beta) e(L, gamma) e(C, delta) = 1
/// with L = IC[0] + sum of inputs[i] * IC[i+1].
contract Groth16Verifier is IVerifier {
    /// The key has a wrong length or holds something that is no point, a point at infinity
    /// where that would make every proof valid, an input that the circuit does not use, or a
    /// delta that equals gamma: then the second phase of the setup was skipped and anyone can forge.
    error KeyInvalid();

    /// A proof is not 256 bytes, or the number of inputs is not that of the key, or a batch is
    /// empty or of more than 128 proofs.
    error LengthInvalid();

    /// An input is not below the scalar field's order. Such a value would be a second name
    /// for the same statement.
    error PublicInputNotInField();

    /// A proof point is not on its curve or the pairing equation does not hold.
    error ProofInvalid();

    uint256 private constant P = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
    uint256 private constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    uint256 private constant FIXED_WORDS = 14; // alpha, beta, gamma, delta
    uint256 private constant MAX_INPUTS = 64; // keeps the key below the code size limit
    uint256 private constant MAX_BATCH = 128;

    address private immutable KEY;

    /// Number of public inputs.
    uint256 public immutable inputCount;

    /// Keccak-256 of the key words: which circuit this contract speaks for.
    bytes32 public immutable keyHash;

    constructor(uint256[] memory key) {
        uint256 words = key.length;
        if (words < FIXED_WORDS + 4 || words % 2 != 0) revert KeyInvalid();
        uint256 count = (words - FIXED_WORDS) / 2 - 1;
        if (count > MAX_INPUTS) revert KeyInvalid();
        _checkPoints(key);

        bytes memory packed = abi.encodePacked(key);
        keyHash = keccak256(packed);
        inputCount = count;

        // PUSH2 size, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN: returns what
        // follows as code. It begins with STOP, so that a call to it does nothing.
        bytes memory creation =
            abi.encodePacked(hex"61", uint16(packed.length + 1), hex"80600a3d393df3", hex"00", packed);
        address data;
        assembly ("memory-safe") {
            data := create(0, add(creation, 0x20), mload(creation))
        }
        if (data == address(0)) revert KeyInvalid();
        KEY = data;
    }

    /// Returns if the proof is valid for the inputs and reverts otherwise.
    function verifyProof(bytes calldata proof, uint256[] calldata inputs) external view returns (bool) {
        _verifyProof(proof, inputs);
        return true;
    }

    function _verifyProof(bytes calldata proof, uint256[] memory inputs) internal view {
        if (proof.length != 256 || inputs.length != inputCount) revert LengthInvalid();
        address key = KEY;
        bool inField = true;
        bool ok;
        assembly ("memory-safe") {
            let f := mload(0x40) // 24 words for the pairing
            let k := add(f, 0x300) // the key
            let count := mload(inputs)
            let size := shl(5, add(16, shl(1, count)))
            let m := add(k, size) // 5 words: sum, term, scalar
            extcodecopy(key, k, 1, size)

            // L: sum in m, next term in m+0x40.
            ok := 1
            mcopy(m, add(k, 0x1c0), 0x40)
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                let input := mload(add(add(inputs, 0x20), shl(5, i)))
                inField := and(inField, lt(input, R))
                mcopy(add(m, 0x40), add(add(k, 0x200), shl(6, i)), 0x40)
                mstore(add(m, 0x80), input)
                ok := and(ok, staticcall(gas(), 0x07, add(m, 0x40), 0x60, add(m, 0x40), 0x40))
                ok := and(ok, staticcall(gas(), 0x06, m, 0x80, m, 0x40))
            }

            // -A, B. The precompile refuses coordinates that are not reduced, but would not see
            // that y was not before it was negated.
            calldatacopy(f, proof.offset, 0xc0)
            let y := mload(add(f, 0x20))
            ok := and(ok, lt(y, P))
            mstore(add(f, 0x20), mod(sub(P, y), P))
            mcopy(add(f, 0xc0), k, 0xc0) // alpha, beta
            mcopy(add(f, 0x180), m, 0x40) // L
            mcopy(add(f, 0x1c0), add(k, 0xc0), 0x80) // gamma
            calldatacopy(add(f, 0x240), add(proof.offset, 0xc0), 0x40) // C
            mcopy(add(f, 0x280), add(k, 0x140), 0x80) // delta

            ok := and(ok, staticcall(gas(), 0x08, f, 0x300, f, 0x20))
            ok := and(ok, eq(mload(f), 1))
        }
        if (!inField) revert PublicInputNotInField();
        if (!ok) revert ProofInvalid();
    }

    /// Returns true if all proofs are valid, 256 bytes each and 1 to 128 of them, and reverts
    /// otherwise. The inputs of one proof follow those of another.
    ///
    /// It checks one random combination of the equations, which takes count + 3 pairings instead
    /// of 4 * count:
    ///   prod e(r_i A_i, B_i) = e(sum r_i alpha, beta) e(sum r_i L_i, gamma) e(sum r_i C_i, delta)
    /// with r_0 = 1 and r_i = the upper 128 bits of keccak(seed, i), where seed hashes the key and
    /// every byte of all proofs and inputs (Fiat-Shamir). Let equation i be off by the factor d_i of
    /// the target group, whose order is the prime R. Then prod d_i^r_i = 1 is needed, and if some
    /// d_i is not 1 that holds for at most one value of an r_i, or for none. No coefficient is known
    /// before all proofs and inputs are fixed, so each attempt to forge succeeds with probability at
    /// most 2^-128, and changing any byte is a new attempt.
    function verifyBatch(bytes calldata proofs, uint256[] calldata inputs) external view returns (bool) {
        _verifyBatch(proofs, inputs);
        return true;
    }

    function _verifyBatch(bytes calldata proofs, uint256[] memory inputs) internal view {
        uint256 count = proofs.length / 256;
        if (count == 0 || count > MAX_BATCH || proofs.length % 256 != 0 || inputs.length != count * inputCount) {
            revert LengthInvalid();
        }
        // keccak256(abi.encodePacked(keyHash, proofs, inputs)), for less gas.
        bytes32 seed = keyHash;
        assembly ("memory-safe") {
            let text := mload(0x40)
            mstore(text, seed)
            calldatacopy(add(text, 0x20), proofs.offset, proofs.length)
            let size := shl(5, mload(inputs))
            mcopy(add(add(text, 0x20), proofs.length), add(inputs, 0x20), size)
            seed := keccak256(text, add(add(0x20, proofs.length), size))
        }
        uint256[] memory pairs = new uint256[](6 * (count + 3));
        uint256[] memory sums = new uint256[](inputCount + 1); // factors of IC[0..n]
        bool ok = _combine(seed, proofs, inputs, pairs, sums);
        if (!ok || !_pair(count, pairs, sums)) revert ProofInvalid();
    }

    /// Puts r_i A_i and B_i into pairs and sum r_i C_i behind them, where the last G1 point belongs,
    /// and adds up the factors.
    function _combine(
        bytes32 seed,
        bytes calldata proofs,
        uint256[] memory inputs,
        uint256[] memory pairs,
        uint256[] memory sums
    ) private view returns (bool ok) {
        uint256 count = proofs.length / 256;
        uint256 n = inputCount;
        bool inField = true;
        assembly ("memory-safe") {
            let w := mload(0x40) // sum of C (2 words), point (2), factor (1)
            mstore(w, 0)
            mstore(add(w, 0x20), 0)
            ok := 1
            let proof := proofs.offset
            let input := add(inputs, 0x20)
            let pair := add(pairs, 0x20)
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                mstore(0x00, seed)
                mstore(0x20, i)
                let r := shr(128, keccak256(0x00, 0x40))
                if iszero(i) { r := 1 }
                let sum := add(sums, 0x20)
                mstore(sum, addmod(mload(sum), r, R))
                for { let end := add(input, shl(5, n)) } lt(input, end) { input := add(input, 0x20) } {
                    sum := add(sum, 0x20)
                    let x := mload(input)
                    inField := and(inField, lt(x, R))
                    mstore(sum, addmod(mload(sum), mulmod(r, x, R), R))
                }
                // The precompiles refuse what is not reduced or not on the curve. Those of A_0
                // and B_i are seen by the pairing.
                calldatacopy(pair, proof, 0xc0)
                calldatacopy(add(w, 0x40), add(proof, 0xc0), 0x40)
                mstore(add(w, 0x80), r)
                if i {
                    ok := and(ok, staticcall(gas(), 0x07, add(w, 0x40), 0x60, add(w, 0x40), 0x40))
                    mstore(add(w, 0xa0), mload(pair))
                    mstore(add(w, 0xc0), mload(add(pair, 0x20)))
                    mstore(add(w, 0xe0), r)
                    ok := and(ok, staticcall(gas(), 0x07, add(w, 0xa0), 0x60, pair, 0x40))
                }
                ok := and(ok, staticcall(gas(), 0x06, w, 0x80, w, 0x40))
                proof := add(proof, 0x100)
                pair := add(pair, 0xc0)
            }
            mcopy(add(pair, 0x180), w, 0x40)
        }
        if (!inField) revert PublicInputNotInField();
    }

    /// Completes the pairs with the key and pairs.
    function _pair(uint256 count, uint256[] memory pairs, uint256[] memory sums) private view returns (bool ok) {
        address key = KEY;
        assembly ("memory-safe") {
            let size := add(0x1c0, shl(6, mload(sums)))
            let k := mload(0x40)
            let w := add(k, size) // sum (2 words), point (2), factor (1)
            extcodecopy(key, k, 1, size)

            // sum r_i L_i
            mstore(w, 0)
            mstore(add(w, 0x20), 0)
            ok := 1
            for { let i := 0 } lt(i, mload(sums)) { i := add(i, 1) } {
                mcopy(add(w, 0x40), add(add(k, 0x1c0), shl(6, i)), 0x40)
                mstore(add(w, 0x80), mload(add(sums, add(0x20, shl(5, i)))))
                ok := and(ok, staticcall(gas(), 0x07, add(w, 0x40), 0x60, add(w, 0x40), 0x40))
                ok := and(ok, staticcall(gas(), 0x06, w, 0x80, w, 0x40))
            }
            let pair := add(add(pairs, 0x20), mul(0xc0, count))
            mcopy(add(pair, 0xc0), w, 0x40)
            mcopy(add(pair, 0x100), add(k, 0xc0), 0x80) // gamma

            // sum r_i alpha
            mcopy(w, k, 0x40)
            mstore(add(w, 0x40), mload(add(sums, 0x20)))
            ok := and(ok, staticcall(gas(), 0x07, w, 0x60, pair, 0x40))
            mcopy(add(pair, 0x40), add(k, 0x40), 0x80) // beta
            mcopy(add(pair, 0x1c0), add(k, 0x140), 0x80) // delta

            // These three are on the other side of the equation; all come from precompiles, so
            // they are reduced.
            for { let at := add(pair, 0x20) } lt(at, add(pair, 0x240)) { at := add(at, 0xc0) } {
                mstore(at, mod(sub(P, mload(at)), P))
            }
            ok := and(ok, staticcall(gas(), 0x08, add(pairs, 0x20), shl(5, mload(pairs)), 0x00, 0x20))
            ok := and(ok, eq(mload(0x00), 1))
        }
    }

    /// Reverts unless every word pair or quadruple of the key is a point that may stand there.
    function _checkPoints(uint256[] memory key) private view {
        // G1: alpha and all IC. Adding the point at infinity makes the precompile check the curve.
        for (uint256 i = 0; i < key.length; i = (i == 0 ? FIXED_WORDS : i + 2)) {
            // IC[0] may be infinity; IC[1..] not, since an input there would bind nothing.
            if (i != FIXED_WORDS && key[i] == 0 && key[i + 1] == 0) revert KeyInvalid();
            (bool ok,) = address(0x06).staticcall(abi.encode(key[i], key[i + 1], 0, 0));
            if (!ok) revert KeyInvalid();
        }
        if (key[6] == key[10] && key[7] == key[11] && key[8] == key[12] && key[9] == key[13]) revert KeyInvalid();
        // G2: the pairing with infinity makes the precompile check curve and subgroup.
        for (uint256 i = 2; i < FIXED_WORDS; i += 4) {
            if (key[i] == 0 && key[i + 1] == 0 && key[i + 2] == 0 && key[i + 3] == 0) revert KeyInvalid();
            (bool ok,) =
                address(0x08).staticcall(abi.encode(0, 0, key[i], key[i + 1], key[i + 2], key[i + 3]));
            if (!ok) revert KeyInvalid();
        }
    }
}
