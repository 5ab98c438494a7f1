package identity

import (
	"errors"
	"math/big"
	"strings"
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
	n := new(big.Int)
	zeros := 0
	for i := range len(text) {
		digit := strings.IndexByte(base58Alphabet, text[i])
		if digit < 0 {
			return nil, errBase58
		}
		if digit == 0 && i == zeros {
			zeros++
		}
		n.Mul(n, bigBase58).Add(n, big.NewInt(int64(digit)))
	}
	return append(make([]byte, zeros), n.Bytes()...), nil
}
