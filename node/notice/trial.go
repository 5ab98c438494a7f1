package notice

import (
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/node/outbox"
)

// Trial is a trial as an EHR is told of it.
type Trial struct {
	Identifier Identifier // of a registry, or of the network
	Title      string
	Study      string // such as ResearchStudy/3, if the EHR has it; it is named by its identifier otherwise
}

func (t Trial) reference() Reference {
	if t.Study != "" {
		return Reference{Reference: t.Study, Display: t.Title}
	}
	return Reference{Type: "ResearchStudy", Identifier: t.Identifier, Display: t.Title}
}

// Eligibility says that a patient may be eligible for a trial.
type Eligibility struct {
	Trial   Trial
	Patient string    // id that the EHR gave
	To      Reference // who is told and is to look; zero for nobody in particular
	From    Reference // who says so, mostly the site by its name
	Text    string    // for whoever reads it
	At      time.Time
	Due     time.Time // until when it is worth looking, zero for no limit
}

// Format prints a redaction whatever the verb.
func (Eligibility) Format(f fmt.State, _ rune) { redact(f) }

// MarshalJSON refuses.
func (Eligibility) MarshalJSON() ([]byte, error) { return nil, errPrivate }

// notification is the category of a Communication that only tells.
var notification = Concept{Coding: []Coding{{System: "http://terminology.hl7.org/CodeSystem/communication-category", Code: "notification", Display: "Notification"}}}

// Drafts returns a Communication that tells and a Task that asks to look. An EHR is told of a
// patient and a trial once, however often they are sent.
func (e Eligibility) Drafts() ([]outbox.Draft, error) {
	patient := Reference{Reference: "Patient/" + e.Patient}
	var to []Reference
	if e.To != (Reference{}) {
		to = []Reference{e.To}
	}
	key := "eligibility of " + e.Patient + " for " + e.Trial.Identifier.Value
	return drafts(key, Communication{
		Status: "completed", Category: []Concept{notification}, Subject: patient, About: []Reference{e.Trial.reference()},
		Sent: e.At, Recipient: to, Sender: e.From, Payload: []Payload{{e.Text}},
	}, Task{
		Status: "requested", Intent: "proposal", Description: e.Text, Focus: e.Trial.reference(), For: patient,
		Authored: e.At, Requester: e.From, Owner: e.To, Restriction: Restriction{Period{End: e.Due}},
	})
}

// Enrollment says that a patient takes part in a trial.
type Enrollment struct {
	Trial   Trial
	Patient string     // id that the EHR gave
	Status  string     // of R4's research-subject-status, such as on-study
	Number  Identifier // by which the trial knows the participant; may be zero
	Arm     string     // that was assigned, empty where it is not known or blinded
	From    time.Time
}

// Format prints a redaction whatever the verb.
func (Enrollment) Format(f fmt.State, _ rune) { redact(f) }

// MarshalJSON refuses.
func (Enrollment) MarshalJSON() ([]byte, error) { return nil, errPrivate }

// Drafts returns a ResearchSubject. It is created once for a patient and a trial; what becomes
// of the participation later is an update, which package outbox does not send.
func (e Enrollment) Drafts() ([]outbox.Draft, error) {
	var number []Identifier
	if e.Number != (Identifier{}) {
		number = []Identifier{e.Number}
	}
	return drafts("enrollment of "+e.Patient+" in "+e.Trial.Identifier.Value, ResearchSubject{
		Identifier: number, Status: e.Status, Period: Period{Start: e.From}, Study: e.Trial.reference(),
		Individual: Reference{Reference: "Patient/" + e.Patient}, Arm: e.Arm,
	})
}

func drafts(key string, resources ...Resource) ([]outbox.Draft, error) {
	list := make([]outbox.Draft, 0, len(resources))
	for _, r := range resources {
		text, err := JSON(r)
		if err != nil {
			return nil, err
		}
		list = append(list, outbox.Draft{Key: key, Resource: text})
	}
	return list, nil
}
