package oprf

import (
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"filippo.io/edwards25519"
)

// MaxBatch is the most values of one request. Split more.
const MaxBatch = 65_535

// maxInput is the most bytes of one value.
const maxInput = 65_535

// Output is the function's result for one value, 64 bytes. Two parties' equal
// outputs mean equal values, so treat a list of them as data about people: an Output
// does not print, and its bytes are for the file that needs them.
type Output [sha512.Size]byte

// Format prints a fixed text whatever the verb.
func (Output) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "oprf:redacted") }

// MarshalText always fails; it also keeps JSON and log handlers from the bytes.
func (Output) MarshalText() ([]byte, error) { return nil, errPrivate }

// Request is what a party keeps while its elements are evaluated: its values and
// their blinds. It neither prints nor marshals.
type Request struct {
	*private
	mode     Mode
	inputs   [][]byte
	blinds   []*edwards25519.Scalar
	elements []Element
}

// Blind hides values, 1 to [MaxBatch] of at most 65,535 bytes each, under blinds of
// 64 bytes of random each. A second call with the same values and the same random
// gives the same request, so who has to wait can keep a random seed instead of it.
func Blind(random io.Reader, mode Mode, inputs [][]byte) (*Request, error) {
	if err := errors.Join(mode.check(), checkBatch(len(inputs))); err != nil {
		return nil, err
	}
	r := &Request{mode: mode, inputs: inputs}
	for i, input := range inputs {
		if len(input) > maxInput {
			return nil, fmt.Errorf("oprf: value %d has %d bytes, at most %d", i, len(input), maxInput)
		}
		point := mode.hashToGroup(input)
		if encode(point) == groupIdentity {
			return nil, fmt.Errorf("oprf: value %d has no output", i) // for one in 2^252
		}
		blind, err := randomScalar(random)
		if err != nil {
			return nil, fmt.Errorf("oprf: blind: %w", err)
		}
		r.blinds = append(r.blinds, blind)
		r.elements = append(r.elements, newElement(point.ScalarMult(blind, point)))
	}
	return r, nil
}

// Elements returns what to send to the holder of the key, in the order of the values.
func (r *Request) Elements() []Element { return r.elements }

// Evaluate applies the key to elements, 1 to [MaxBatch].
func (k Key) Evaluate(elements []Element) ([]Element, error) {
	if err := checkBatch(len(elements)); err != nil {
		return nil, err
	}
	evaluated := make([]Element, len(elements))
	for i, e := range elements {
		evaluated[i] = newElement(new(edwards25519.Point).ScalarMult(k.k, e.point))
	}
	return evaluated, nil
}

// Output computes the function of a value that the holder of the key knows. The
// value has at most 65,535 bytes.
func (k Key) Output(input []byte) (Output, error) {
	if len(input) > maxInput {
		return Output{}, fmt.Errorf("oprf: the value has %d bytes, at most %d", len(input), maxInput)
	}
	point := k.mode.hashToGroup(input)
	return finish(input, newElement(point.ScalarMult(k.k, point))), nil
}

// Finalize returns the output for each value, from the answer to a request in mode
// [Base]. A wrong answer gives wrong outputs without a sign: that is what mode
// [Verifiable] and [Request.FinalizeVerified] are for.
func (r *Request) Finalize(evaluated []Element) ([]Output, error) {
	if r.mode != Base {
		return nil, errors.New("oprf: this request wants a proof")
	}
	return r.finalize(evaluated)
}

// FinalizeVerified is [Request.Finalize] in mode [Verifiable]. It fails with
// [ErrProof] if the answer is not by the key of public.
func (r *Request) FinalizeVerified(public PublicKey, evaluated []Element, proof Proof) ([]Output, error) {
	if err := r.match(evaluated); err != nil {
		return nil, err
	}
	if r.mode != Verifiable || public.mode != Verifiable || !public.verify(r.elements, evaluated, proof) {
		return nil, ErrProof
	}
	return r.finalize(evaluated)
}

func (r *Request) finalize(evaluated []Element) ([]Output, error) {
	if err := r.match(evaluated); err != nil {
		return nil, err
	}
	outputs := make([]Output, len(evaluated))
	for i, e := range evaluated {
		inverse := edwards25519.NewScalar().Invert(r.blinds[i])
		outputs[i] = finish(r.inputs[i], newElement(new(edwards25519.Point).ScalarMult(inverse, e.point)))
	}
	return outputs, nil
}

func (r *Request) match(evaluated []Element) error {
	if len(evaluated) != len(r.elements) {
		return fmt.Errorf("oprf: %d elements came back for %d", len(evaluated), len(r.elements))
	}
	return nil
}

// finish hashes a value and its evaluated element without the blind.
func finish(input []byte, unblinded Element) Output {
	return sha512.Sum512(append(lengthed(lengthed(nil, input), unblinded.raw[:]), "Finalize"...))
}

// Equal reports in constant time whether two outputs are the same.
func (o Output) Equal(other Output) bool { return subtle.ConstantTimeCompare(o[:], other[:]) == 1 }

func checkBatch(n int) error {
	if n < 1 || n > MaxBatch {
		return fmt.Errorf("oprf: %d values, want 1 to %d", n, MaxBatch)
	}
	return nil
}
