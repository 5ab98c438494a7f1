package ucum

import (
	"math/big"
)

var ten = big.NewInt(10) // never changed

// scaled returns n·10^place.
func scaled(n *big.Int, place int) *big.Rat {
	power := new(big.Int).Exp(ten, big.NewInt(int64(max(place, -place))), nil)
	if place < 0 {
		return new(big.Rat).SetFrac(n, power)
	}
	return new(big.Rat).SetInt(power.Mul(power, n))
}

// leading returns the power of ten of the first digit of r, which is not 0: 2 for
// 314 and -1 for 0.5.
func leading(r *big.Rat) int {
	magnitude := new(big.Rat).Abs(r)
	// 3/10 is a little less than log10(2), so that this is near.
	place := (r.Num().BitLen() - r.Denom().BitLen()) * 3 / 10
	for magnitude.Cmp(scaled(big.NewInt(1), place)) < 0 {
		place--
	}
	for magnitude.Cmp(scaled(big.NewInt(1), place+1)) >= 0 {
		place++
	}
	return place
}

// rounded returns r/10^place as an integer, halves away from zero.
func rounded(r *big.Rat, place int) *big.Int {
	q := new(big.Rat).Mul(r, scaled(big.NewInt(1), -place))
	num := new(big.Int).Lsh(new(big.Int).Abs(q.Num()), 1)
	num.Add(num, q.Denom())
	num.Quo(num, new(big.Int).Lsh(q.Denom(), 1))
	if q.Sign() < 0 {
		num.Neg(num)
	}
	return num
}
