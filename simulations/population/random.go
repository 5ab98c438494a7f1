package population

import (
	"math"
	"time"
)

// source is a stream of numbers that belongs to one person. It is SplitMix64
// (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014). It is
// our own so that a seed means the same people whatever Go's math/rand becomes.
type source struct{ state uint64 }

// sourceOf returns the stream of person k. Both words are mixed, so that
// neighbouring seeds and neighbouring people share nothing.
func sourceOf(seed uint64, k int64) source {
	s := source{seed}
	s = source{s.next() ^ uint64(k)} // #nosec G115 -- k >= 0
	return source{s.next()}
}

func (s *source) next() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// uniform returns a number in [0, 1).
func (s *source) uniform() float64 { return float64(s.next()>>11) / (1 << 53) }

// chance reports true with probability p.
func (s *source) chance(p float64) bool { return s.uniform() < p }

// normal returns a standard normal number (Box and Muller, 1958).
func (s *source) normal() float64 {
	return math.Sqrt(-2*math.Log(1-s.uniform())) * math.Cos(2*math.Pi*s.uniform())
}

// exponential returns a number of the given mean.
func (s *source) exponential(mean float64) float64 { return -mean * math.Log(1-s.uniform()) }

// day counts days from 1970-01-01 UTC.
type day int64

const daysPerYear = 365.25

func dayOf(t time.Time) day { return day(t.Unix() / 86400) }

func (d day) time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func clamp(x, low, high float64) float64 { return max(low, min(high, x)) }

// round keeps x to 1/parts: 10 keeps one decimal.
func round(x, parts float64) float64 { return math.Round(x*parts) / parts }
