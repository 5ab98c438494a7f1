// SPDX-License-Identifier: GPL-3.0-only
pragma solidity 0.8.37;

/// @title Groth16 verifier on BN254 for one verifying key, given when it is deployed.
/// @notice Development keys are made on the user's machine, so the key cannot be compiled in.
/// It becomes the code of a data contract that nobody can change; there is no owner.
///
/// Key words (uint256, big-endian; a G2 coordinate is imaginary part first, as EIP-197 wants it):
///   alpha (2)  beta (4)  gamma (4)  delta (4)  IC[0] (2) ... IC[n] (2)
/// as they stand in the verifying key: nothing is negated. Proof words: A (2)  B (4)  C (2).
/// A proof is valid when e(-A, B) e(alpha, beta) e(L, gamma) e(C, delta) = 1
/// with L = IC[0] + sum of inputs[i] * IC[i+1].
contract Groth16Verifier {
    /// The key has a wrong length or holds something that is no point, a point at infinity
    /// where that would make every proof valid, an input that the circuit does not use, or a
    /// delta that equals gamma: then the second phase of the setup was skipped and anyone can forge.
    error KeyInvalid();

    /// The proof is not 256 bytes, or the number of inputs is not that of the key.
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
    function verifyProof(bytes calldata proof, uint256[] calldata inputs) public view {
        if (proof.length != 256 || inputs.length != inputCount) revert LengthInvalid();
        address key = KEY;
        bool inField = true;
        bool ok;
        assembly ("memory-safe") {
            let f := mload(0x40) // 24 words for the pairing
            let k := add(f, 0x300) // the key
            let size := shl(5, add(16, shl(1, inputs.length)))
            let m := add(k, size) // 5 words: sum, term, scalar
            extcodecopy(key, k, 1, size)

            // L: sum in m, next term in m+0x40.
            ok := 1
            mcopy(m, add(k, 0x1c0), 0x40)
            for { let i := 0 } lt(i, inputs.length) { i := add(i, 1) } {
                let input := calldataload(add(inputs.offset, shl(5, i)))
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
