package secagg

import (
	"errors"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// What a member refuses, by rule. A refusal is final for what was offered: the
// hub either made a mistake or lies. Errors that wrap these name the member
// concerned.
var (
	ErrSession       = problem.Refusal("secagg.session", "the session is outside its bounds or belongs to another question")
	ErrRoster        = problem.Refusal("secagg.roster", "the roster names a stranger, a member twice or out of order, or leaves this member out")
	ErrSignature     = problem.Refusal("secagg.signature", "a member's signature does not verify")
	ErrTooFewMembers = problem.Refusal("secagg.too-few-members", "fewer members than the session demands")
	ErrShare         = problem.Refusal("secagg.share", "an encrypted share is not from its sender, for this member and this roster")
	ErrVector        = problem.Refusal("secagg.vector", "the vector has another length than the session's")
	ErrSurvivors     = problem.Refusal("secagg.survivors", "the survivors are not a set of members on the roster that includes this one")
	ErrConfirmations = problem.Refusal("secagg.confirmations", "too few members confirmed these survivors, or one did so twice")
	ErrChanged       = problem.Refusal("secagg.changed", "this member already acted on something else in this session")
)

// ErrUnmask reports that the hub cannot rebuild a secret from what the members
// revealed: a dealer or a revealer was dishonest, or data was damaged. The sum
// is lost; ask anew.
var ErrUnmask = errors.New("the revealed shares do not rebuild the member's secret")
