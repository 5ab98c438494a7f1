package prover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// person returns an identity secret, the same each time.
func person() circuits.Secret {
	first, second := secret("output", 0), secret("output", 1)
	return circuits.PersonSecret([64]byte(append(first[:], second[:]...)))
}

func signingKey(t testing.TB, i int) circuits.SigningKey {
	t.Helper()
	k, err := circuits.NewSigningKey(secret("seed", i))
	require.NoError(t, err)
	return k
}

func granted() circuits.Attributes {
	return circuits.Attributes{Mask: consent.MaskOf(consent.Statistics), Status: circuits.Active, From: today.From, To: today.To}
}

func path(t testing.TB, tree *circuits.Tree, err error, i int) circuits.Path {
	t.Helper()
	require.NoError(t, err)
	p, err := tree.Path(i)
	require.NoError(t, err)
	return p
}

// enrollment is that of a person in the second shard of two.
func enrollment(t testing.TB, depth, shardSize int) circuits.EnrollmentWitness {
	t.Helper()
	w := circuits.EnrollmentWitness{
		Secret: person(), Blind: secret("blind", 0), Attributes: granted(),
		Trial: secret("trial", 0), Signal: secret("signal", 0), Time: today.From,
	}
	commitment, err := w.Secret.Commit(w.Blind)
	require.NoError(t, err)
	leaf, err := circuits.Consent{Participant: commitment, Attributes: w.Attributes}.Leaf()
	require.NoError(t, err)
	shard, err := circuits.ShardTree(shardSize, []circuits.Element{secret("leaf", 0), leaf})
	within := path(t, shard, err, 1)
	tree, err := circuits.ConsentTree(shardSize, depth, []circuits.Element{secret("shard", 0), shard.Root()})
	w.Path = within.Then(path(t, tree, err, 1))
	return w
}

func eligibility(t testing.TB, depth int) circuits.EligibilityWitness {
	t.Helper()
	day, err := circuits.NewDay(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	w := circuits.EligibilityWitness{
		Secret: person(), Salt: secret("holder", 0), Trial: secret("trial", 0), Day: day,
		Criterion: circuits.Criterion{MinAge: 18, MaxAge: 75, Code: circuits.LabCode("2160-0", "mg/dL"), Low: 500, High: 1200, Within: 30},
	}
	holder, err := w.Secret.Holder(w.Salt)
	require.NoError(t, err)
	w.Credential = circuits.Credential{Holder: holder, Born: day - 15000, Code: w.Criterion.Code, Value: 900, Measured: day, Expires: day}
	w.Issuer = signingKey(t, 0).Public()
	w.Signature, err = signingKey(t, 0).Issue(w.Credential)
	require.NoError(t, err)
	issuers, err := circuits.IssuerSet(depth, []circuits.PublicKey{w.Issuer, signingKey(t, 1).Public()})
	w.Path = path(t, issuers, err, 0)
	return w
}

func quiz(t testing.TB, questions int) circuits.QuizWitness {
	t.Helper()
	w := circuits.QuizWitness{
		Secret: person(), Signer: signingKey(t, 2).Public(), SignerSalt: secret("signer", 0), Attributes: granted(),
		AnswerKeySalt: secret("answer key", 0), Document: secret("document", 0), PassMark: uint8(questions - 1), Time: today.From,
	}
	choices := make([]uint8, questions)
	var err error
	w.Right, err = circuits.NewAnswers(choices)
	require.NoError(t, err)
	choices[0] = 1
	w.Answers, err = circuits.NewAnswers(choices)
	require.NoError(t, err)
	key, err := circuits.CommitAnswerKey(w.AnswerKeySalt, w.Right)
	require.NoError(t, err)
	w.Signature, err = signingKey(t, 2).SignConsent(w, key)
	require.NoError(t, err)
	return w
}

func custody(t testing.TB, notes, keepers, readings int) circuits.CustodyWitness {
	t.Helper()
	w := circuits.CustodyWitness{
		Spent: circuits.Note{
			Lot: secret("lot", 0), Serial: secret("serial", 0), Quantity: 100,
			Keeper: signingKey(t, 3).Public(), Time: today.From, Salt: secret("note", 0),
		},
		Receiver: signingKey(t, 4).Public(), Quantity: 30, GivenSalt: secret("note", 1), KeptSalt: secret("note", 2),
		Time: today.From + 3600, Temperatures: make([]circuits.Temperature, readings), High: 800,
	}
	spent, err := w.Spent.Commitment()
	require.NoError(t, err)
	tree, err := circuits.NoteTree(notes, []circuits.Element{secret("other note", 0), spent})
	w.Path = path(t, tree, err, 1)
	set, err := circuits.KeeperSet(keepers, []circuits.PublicKey{w.Spent.Keeper, w.Receiver})
	w.ReceiverPath = path(t, set, err, 1)
	w.Gave, err = signingKey(t, 3).SignHandover(w)
	require.NoError(t, err)
	w.Took, err = signingKey(t, 4).SignHandover(w)
	require.NoError(t, err)
	return w
}

// participantOf takes its keys from the user's cache. Circuits are in the order
// of [ParticipantConfig]; the zero circuit leaves its keys out.
func participantOf(t testing.TB, list ...circuits.Circuit) *Participant {
	t.Helper()
	dir, err := CacheDir()
	require.NoError(t, err)
	var cfg ParticipantConfig
	for i, keys := range []**Keys{&cfg.Enrollment, &cfg.Eligibility, &cfg.Quiz, &cfg.Custody}[:len(list)] {
		if list[i] == (circuits.Circuit{}) {
			continue
		}
		*keys, err = DevelopmentKeys(t.Context(), dir, list[i])
		require.NoError(t, err)
	}
	p, err := NewParticipant(cfg)
	require.NoError(t, err)
	return p
}
