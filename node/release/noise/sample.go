// Package noise draws whole numbers from the discrete Laplace and Gaussian
// distributions, exactly, and accounts for the privacy that they give.
//
// A sampler in floating point leaves gaps and odd digits by which the number under
// the noise can be told (Mironov, "On significance of the least significant bits for
// differential privacy", CCS 2012). Here everything is integers and fractions, and
// the only source of chance is the given reader, which outside tests is
// crypto/rand.Reader. How long a draw takes depends on the noise, not on what it
// is added to.
//
// Source: Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential
// Privacy", NeurIPS 2020, arXiv:2004.00010v5, section 5, algorithms 1 to 3.
package noise

import (
	"errors"
	"fmt"
	"io"
	"math/big"
)

// most bounds a scale or standard deviation, so that every draw fits an int64 but for a
// chance below 2^-1000.
const most = 1 << 40

var (
	mostScale    = big.NewRat(most, 1)
	mostVariance = new(big.Rat).Mul(mostScale, mostScale)
)

var errScale = errors.New("noise: a scale is positive and at most 2^40, a variance at most its square")

// Laplace draws from the discrete Laplace distribution of the given scale b, where
// k has a probability in proportion to exp(-|k|/b). Added to a number that one person
// changes by at most one it gives 1/b-differential privacy.
func Laplace(random io.Reader, b *big.Rat) (int64, error) {
	if b.Sign() <= 0 || b.Cmp(mostScale) > 0 {
		return 0, errScale
	}
	s := source{random: random}
	k := s.laplace(b)
	return s.result(k)
}

// Gaussian draws from the discrete Gaussian distribution of the given variance σ²,
// where k has a probability in proportion to exp(-k²/2σ²). Added to a number that one
// person changes by at most one it gives 1/2σ²-zero-concentrated privacy.
func Gaussian(random io.Reader, variance *big.Rat) (int64, error) {
	if variance.Sign() <= 0 || variance.Cmp(mostVariance) > 0 {
		return 0, errScale
	}
	s := source{random: random}
	// t is a whole number just above σ.
	t := new(big.Int).Sqrt(new(big.Int).Quo(variance.Num(), variance.Denom()))
	t.Add(t, big.NewInt(1))
	scale := new(big.Rat).SetInt(t)
	center := new(big.Rat).Quo(variance, scale)
	twice := new(big.Rat).Add(variance, variance)
	for s.err == nil {
		k := s.laplace(scale)
		away := new(big.Rat).SetInt(new(big.Int).Abs(k))
		away.Sub(away, center)
		if s.exp(away.Quo(away.Mul(away, away), twice)) {
			return s.result(k)
		}
	}
	return s.result(nil)
}

// source draws events. After the first error of the reader it draws nothing more.
type source struct {
	random io.Reader
	err    error
}

func (s *source) result(k *big.Int) (int64, error) {
	switch {
	case s.err != nil:
		return 0, fmt.Errorf("noise: read randomness: %w", s.err)
	case !k.IsInt64():
		return 0, errors.New("noise: drawn number is out of range")
	}
	return k.Int64(), nil
}

// below draws evenly from 0 to n-1: as many bits as n-1 has, again while they are
// too much.
func (s *source) below(n *big.Int) *big.Int {
	bits := new(big.Int).Sub(n, big.NewInt(1)).BitLen()
	raw := make([]byte, (bits+7)/8)
	for {
		if _, s.err = io.ReadFull(s.random, raw); s.err != nil {
			return new(big.Int)
		}
		if bits%8 != 0 {
			raw[0] &= 1<<(bits%8) - 1
		}
		if v := new(big.Int).SetBytes(raw); v.Cmp(n) < 0 {
			return v
		}
	}
}

// chance happens with probability p, at most 1.
func (s *source) chance(p *big.Rat) bool { return s.below(p.Denom()).Cmp(p.Num()) < 0 }

var one = big.NewRat(1, 1)

// exp happens with probability exp(-γ) for γ >= 0.
func (s *source) exp(gamma *big.Rat) bool {
	rest := new(big.Rat).Set(gamma)
	for rest.Cmp(one) > 0 {
		if !s.expBelowOne(one) || s.err != nil {
			return false
		}
		rest.Sub(rest, one)
	}
	return s.expBelowOne(rest)
}

// expBelowOne is exp for γ <= 1: of events with chances γ, γ/2, γ/3 and so on, the
// first that does not happen is an odd one.
func (s *source) expBelowOne(gamma *big.Rat) bool {
	k := int64(1)
	for s.err == nil && s.chance(new(big.Rat).Quo(gamma, big.NewRat(k, 1))) {
		k++
	}
	return k%2 == 1
}

// laplace draws for a scale of t/s: a geometric number of steps of exp(-1/t), by
// whole t and what is left, of which every s count as one, and a sign.
func (s *source) laplace(scale *big.Rat) *big.Int {
	t, parts := scale.Num(), scale.Denom()
	for s.err == nil {
		u := s.below(t)
		if !s.exp(new(big.Rat).SetFrac(u, t)) {
			continue
		}
		whole := int64(0)
		for s.err == nil && s.expBelowOne(one) {
			whole++
		}
		k := new(big.Int).Mul(t, big.NewInt(whole))
		k.Add(k, u).Quo(k, parts)
		negative := s.chance(big.NewRat(1, 2))
		switch {
		case negative && k.Sign() == 0: // 0 has one sign
		case negative:
			return k.Neg(k)
		default:
			return k
		}
	}
	return new(big.Int)
}
