package identity

import (
	"errors"
	"math/big"
)

// base58Alphabet is Bitcoin's, which multibase calls base58btc ("z").
const base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

var (
	errBase58  = errors.New("identity: not base58btc")
	bigBase58  = big.NewInt(int64(len(base58Alphabet)))
	zeroBase58 = base58Alphabet[0]
)

// encodeBase58 writes raw as one big-endian number in base 58, a leading zero
// byte as one leading "1".
func encodeBase58(raw []byte) string {
	var digits []byte
	for n, rest := new(big.Int).SetBytes(raw), new(big.Int); n.Sign() > 0; {
		n.DivMod(n, bigBase58, rest)
		digits = append(digits, base58Alphabet[rest.Int64()])
	}
	for i := 0; i < len(raw) && raw[i] == 0; i++ {
		digits = append(digits, zeroBase58)
	}
	for i, j := 0, len(digits)-1; i < j; i, j = i+1, j-1 {
		digits[i], digits[j] = digits[j], digits[i]
	}
	return string(digits)
}

// decodeBase58 is the inverse of encodeBase58. Callers bound the length of text.
func decodeBase58(text string) ([]byte, error) {
	number, zeros := new(big.Int), 0
	word, scale := uint64(0), uint64(1) // of the digits that are not in number yet
	for i := range len(text) {
		digit := digits58[text[i]]
		if digit == 0 {
			return nil, errBase58
		}
		if digit == 1 && i == zeros {
			zeros++
		}
		word, scale = word*58+uint64(digit-1), scale*58
		if scale == scale58 || i == len(text)-1 {
			number.Mul(number, new(big.Int).SetUint64(scale)).Add(number, new(big.Int).SetUint64(word))
			word, scale = 0, 1
		}
	}
	return append(make([]byte, zeros), number.Bytes()...), nil
}

// scale58 is 58^10, the largest power in 64 bits.
const scale58 = 430_804_206_899_405_824

// digits58 is the value of each byte as a digit, and 1; 0 for others.
var digits58 = func() (values [256]byte) {
	for i := range len(base58Alphabet) {
		values[base58Alphabet[i]] = byte(i + 1)
	}
	return values
}()
