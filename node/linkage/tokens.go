package linkage

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/trialmesh/trialmesh/federation/oprf"
)

// tokenBatch is how many elements are blinded, evaluated and proven together.
const tokenBatch = 5_000

// keyInfo is the public text of keys that make tokens.
const keyInfo = valueDomain + "tokens"

// NewTokenKey returns the key that 32 random secret bytes stand for. It belongs to a
// party that holds no records and compares no tokens.
func NewTokenKey(seed [32]byte) (oprf.Key, error) {
	return oprf.DeriveKey(oprf.Verifiable, seed, []byte(keyInfo))
}

// exchanged is what goes between a site and the holder of the key: a line of JSON for
// each batch. The proof is in the answer only.
type exchanged struct {
	Elements [][]byte `json:"elements"`
	Proof    []byte   `json:"proof,omitempty"`
}

// BlindTokens writes the question that a site sends to the holder of the key, blinded
// with 32 random bytes that the site makes for this question alone and keeps for
// [FinishTokens]. The answer is worthless to others, and the question shows nothing but
// how many values there are.
func BlindTokens(to io.Writer, seed [32]byte, records []Record, by []Recipe) error {
	enc, random := json.NewEncoder(to), newStream(seed)
	for inputs := range batches(records, by) {
		request, err := oprf.Blind(random, oprf.Verifiable, inputs)
		if err != nil {
			return err
		}
		if err := enc.Encode(exchanged{Elements: raw(request.Elements())}); err != nil {
			return err
		}
	}
	return nil
}

// EvaluateTokens answers a question of at most most values, and returns how many there
// were. Who holds the key counts these for each site, and refuses a site more than it
// has records: nothing else keeps a site from asking about everybody.
func EvaluateTokens(to io.Writer, question io.Reader, random io.Reader, key oprf.Key, most int) (values int, err error) {
	dec, enc := json.NewDecoder(bounded(question, most)), json.NewEncoder(to)
	for {
		elements, _, err := readBatch(dec)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return values, fmt.Errorf("question: %w", err)
		}
		if values += len(elements); values > most {
			return values, fmt.Errorf("the question has more than %d values: ask for fewer or allow more", most)
		}
		evaluated, proof, err := key.EvaluateVerifiably(random, elements)
		if err != nil {
			return values, err
		}
		if err := enc.Encode(exchanged{raw(evaluated), proof.Bytes()}); err != nil {
			return values, err
		}
	}
}

// FinishTokens makes the tokens of the records from the answer: for each record one for
// each recipe, zero where it has no value. Seed, records and recipes are those of
// [BlindTokens]. It fails with [oprf.ErrProof] if the answer is not of the public key.
func FinishTokens(answer io.Reader, seed [32]byte, public oprf.PublicKey, records []Record, by []Recipe) ([][]Token, error) {
	dec, random := json.NewDecoder(bounded(answer, len(records)*len(by))), newStream(seed)
	var outputs []oprf.Output
	for inputs := range batches(records, by) {
		request, err := oprf.Blind(random, oprf.Verifiable, inputs)
		if err != nil {
			return nil, err
		}
		elements, proof, err := readBatch(dec)
		if err != nil {
			return nil, fmt.Errorf("answer: %w", orShort(err))
		}
		parsed, err := oprf.ParseProof(proof)
		if err != nil {
			return nil, fmt.Errorf("answer: %w", err)
		}
		part, err := request.FinalizeVerified(public, elements, parsed)
		if err != nil {
			return nil, fmt.Errorf("answer: %w", err)
		}
		outputs = append(outputs, part...)
	}
	if _, _, err := readBatch(dec); !errors.Is(err, io.EOF) {
		return nil, errors.New("answer: it has more than was asked")
	}
	tokens := make([][]Token, len(records))
	for i := range records {
		tokens[i] = make([]Token, len(by))
		for k, recipe := range by {
			if recipe.Value(&records[i]) != nil {
				tokens[i][k] = Token(outputs[0][:len(Token{})])
				outputs = outputs[1:]
			}
		}
	}
	return tokens, nil
}

// batches yields the values of records, tokenBatch at a time.
func batches(records []Record, by []Recipe) iter.Seq[[][]byte] {
	return func(yield func([][]byte) bool) {
		var inputs [][]byte
		for i := range records {
			for _, recipe := range by {
				if value := recipe.Value(&records[i]); value != nil {
					inputs = append(inputs, value)
				}
				if len(inputs) == tokenBatch {
					if !yield(inputs) {
						return
					}
					inputs = nil
				}
			}
		}
		if len(inputs) > 0 {
			yield(inputs)
		}
	}
}

// orShort says that an answer ended too early.
func orShort(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("it has less than was asked")
	}
	return err
}

// bounded cuts what the other side sends at what so many values can take.
func bounded(r io.Reader, values int) io.Reader { return io.LimitReader(r, int64(values)*64+1<<20) }

func readBatch(dec *json.Decoder) ([]oprf.Element, []byte, error) {
	var line exchanged
	if err := dec.Decode(&line); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil, io.EOF
		}
		return nil, nil, errors.New("not a line of JSON as this program writes it")
	}
	elements := make([]oprf.Element, len(line.Elements))
	for i, text := range line.Elements {
		var err error
		if elements[i], err = oprf.ParseElement(text); err != nil {
			return nil, nil, fmt.Errorf("element %d of a batch: %w", i, err)
		}
	}
	return elements, line.Proof, nil
}

func raw(elements []oprf.Element) [][]byte {
	list := make([][]byte, len(elements))
	for i, e := range elements {
		list[i] = e.Bytes()
	}
	return list
}

// newStream returns the AES-256-CTR keystream of a seed that is used for nothing else.
func newStream(seed [32]byte) io.Reader {
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		panic("linkage: AES with 32 bytes: " + err.Error()) // only for another key length
	}
	//nolint:gosec // the key is used once, so the counter may start at zero
	return cipher.StreamReader{S: cipher.NewCTR(block, make([]byte, aes.BlockSize)), R: zeros{}}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
