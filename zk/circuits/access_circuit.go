package circuits

import "github.com/consensys/gnark/frontend"

// accessCircuit constrains an access or a cover; see DESIGN.md for the claims. It
// uses no hint except to split the public Scopes and Min and the slack over Min.
type accessCircuit struct {
	MatrixDigest frontend.Variable `gnark:",public"`
	UsedDigest   frontend.Variable `gnark:",public"`
	QueryHash    frontend.Variable `gnark:",public"`
	Scopes       frontend.Variable `gnark:",public"`
	Min          frontend.Variable `gnark:",public"`

	Shards []accessShard
}

type accessShard struct {
	Columns []accessColumn      // one a slot
	Used    []frontend.Variable // none in a cover, which computes them
	Salt    frontend.Variable
}

// accessColumn opens one bitmap of a matrix. Path holds, level by level, the
// four children of the node above; which of them is ours follows from Scopes.
type accessColumn struct {
	Bits []frontend.Variable
	Salt frontend.Variable
	Path [scopeDepth][width]frontend.Variable
}

func newAccessCircuit(s Shape) *accessCircuit {
	c := newCoverCircuit(s)
	for k := range c.Shards {
		c.Shards[k].Used = make([]frontend.Variable, s.ShardSize)
	}
	return c
}

func newCoverCircuit(s Shape) *accessCircuit {
	c := &accessCircuit{Shards: make([]accessShard, s.Shards)}
	for k := range c.Shards {
		c.Shards[k].Columns = make([]accessColumn, s.Slots)
		for j := range c.Shards[k].Columns {
			c.Shards[k].Columns[j].Bits = make([]frontend.Variable, s.ShardSize)
		}
	}
	return c
}

// Define writes down the constraints.
func (c *accessCircuit) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	slots := len(c.Shards[0].Columns)
	scope := g.ToBinary(c.Scopes, scopeBits*slots)

	// The question is part of the statement although nothing is computed from
	// it: an input in no constraint could be exchanged in a finished proof.
	g.Mul(c.QueryHash, c.QueryHash)

	var roots, commitments, used, breaches []frontend.Variable
	for _, shard := range c.Shards {
		for s, column := range shard.Columns {
			root := column.root(g, scope[s*scopeBits:(s+1)*scopeBits])
			if s == 0 {
				roots = append(roots, root)
				continue
			}
			g.AssertIsEqual(roots[len(roots)-1], root)
		}
		records := shard.Used
		if len(records) == 0 {
			records = shard.permitted(g)
		} else {
			breaches = append(breaches, shard.breaches(g)...)
		}
		used = append(used, records...)
		commitments = append(commitments, g.commitBitmap(shard.Salt, records))
	}
	g.AssertIsEqual(c.MatrixDigest, g.sponge(TagMatrixDigest, roots))
	g.AssertIsEqual(c.UsedDigest, g.sponge(TagUsedDigest, commitments))

	// Each breach lies between 0 and the number of slots, so their integer sum
	// stays far below the group order and is 0 only if every one is.
	if len(breaches) > 0 {
		g.AssertIsEqual(g.sum(breaches), 0)
	}

	g.ToBinary(c.Min, countBits)
	g.assertAtMost(c.Min, g.sum(used), countBits)
	return nil
}

// breaches returns, record by record, how many needed scopes a used record
// lacks. Used and Bits become boolean here.
func (s accessShard) breaches(g gadget) []frontend.Variable {
	breaches := make([]frontend.Variable, len(s.Used))
	for i, used := range s.Used {
		g.AssertIsBoolean(used)
		missing := frontend.Variable(len(s.Columns))
		for _, column := range s.Columns {
			missing = g.Sub(missing, column.Bits[i])
		}
		breaches[i] = g.Mul(used, missing)
	}
	return breaches
}

// permitted returns, record by record, whether it permits all scopes. Nothing
// here is the prover's to choose: the bits are opened, the rest is their product.
func (s accessShard) permitted(g gadget) []frontend.Variable {
	permitted := make([]frontend.Variable, len(s.Columns[0].Bits))
	for i := range permitted {
		permitted[i] = s.Columns[0].Bits[i]
		for _, column := range s.Columns[1:] {
			permitted[i] = g.Mul(permitted[i], column.Bits[i])
		}
	}
	return permitted
}

// root recomputes the matrix root from an opened column at the given index.
func (c accessColumn) root(g gadget, index []frontend.Variable) frontend.Variable {
	for _, bit := range c.Bits {
		g.AssertIsBoolean(bit)
	}
	return g.climb(g.commitBitmap(c.Salt, c.Bits), index, c.Path[:])
}
