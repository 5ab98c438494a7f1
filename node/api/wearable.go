package api

import (
	"context"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/node/wearable"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Wearables keeps connections to makers of wearables; wearable.Service is one. Refusals are of
// type problem.Error.
type Wearables interface {
	List(ctx context.Context) ([]wearable.Connection, error)

	// Begin asks for an authorization, and Complete takes the URL that came back. A
	// connection is durable when Complete returns.
	Begin(ctx context.Context, maker, patient, timezone string) (wearable.Authorization, error)
	Complete(ctx context.Context, redirected string) (wearable.Connection, error)

	// Pull has a connection pulled from since on, the zero time for what is new. It is
	// durable when Pull returns.
	Pull(ctx context.Context, id int64, since time.Time) (wearable.Connection, error)

	// Disconnect deletes a connection, and reports whether the maker was told.
	Disconnect(ctx context.Context, id int64) (told bool, err error)
}

// Wearable is a connection to an account of a patient at a maker.
type Wearable struct {
	ID        string     `json:"id"`
	Maker     string     `json:"maker"`
	Patient   string     `json:"patient" doc:"Id of the FHIR Patient"`
	Timezone  string     `json:"timezone,omitempty" doc:"Of the account"`
	State     string     `json:"state" enum:"connected,needs connecting again"`
	Connected time.Time  `json:"connected"`
	Asked     time.Time  `json:"asked" doc:"When the site last asked for a pull"`
	Began     *time.Time `json:"began,omitempty" doc:"The last attempt"`
	Ended     *time.Time `json:"ended,omitempty" doc:"The last attempt that ended, well or not"`
	Success   *time.Time `json:"success,omitempty" doc:"When everything was last asked for"`
	Next      *time.Time `json:"next,omitempty" doc:"When it falls due; absent if that is on request only"`
	Pulling   bool       `json:"pulling"`
	Error     string     `json:"error,omitempty" doc:"Of the last attempt"`
}

// WearablesList is all connections, by id.
type WearablesList struct {
	Connections []Wearable `json:"connections" nullable:"false"`
}

// WearableAuthorization is what a patient is to be asked for.
type WearableAuthorization struct {
	URL      string    `json:"url" doc:"To open in the patient's browser. It is for one answer"`
	Redirect string    `json:"redirect" doc:"Where the answer comes"`
	Expires  time.Time `json:"expires"`
}

// WearableGone is what became of a connection that was deleted.
type WearableGone struct {
	Told bool `json:"told" doc:"Whether the maker was told; if not, the patient has to take the access away in the account"`
}

// noWearables is a node that asks no maker.
type noWearables struct{}

var errNoWearables = problem.New(problem.NotFound, "this node asks no maker of wearables")

func (noWearables) List(context.Context) ([]wearable.Connection, error) { return nil, nil }

func (noWearables) Begin(context.Context, string, string, string) (wearable.Authorization, error) {
	return wearable.Authorization{}, errNoWearables
}

func (noWearables) Complete(context.Context, string) (wearable.Connection, error) {
	return wearable.Connection{}, errNoWearables
}

func (noWearables) Pull(context.Context, int64, time.Time) (wearable.Connection, error) {
	return wearable.Connection{}, errNoWearables
}

func (noWearables) Disconnect(context.Context, int64) (bool, error) { return false, errNoWearables }

// wearablePath names a connection.
type wearablePath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (s *server) routeWearables() {
	tags := []string{"wearables"}
	get(s, huma.Operation{OperationID: "wearables", Path: "/v1/wearables/connections", Summary: "Accounts at makers of wearables that the node pulls from", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*body[WearablesList], error) {
			all, err := s.cfg.Wearables.List(ctx)
			list := make([]Wearable, 0, len(all))
			for _, c := range all {
				list = append(list, wearableOf(c))
			}
			return &body[WearablesList]{WearablesList{list}}, err
		})
	post(s, huma.Operation{
		OperationID: "authorizeWearable", Path: "/v1/wearables/authorizations", Summary: "Ask for the authorization of a patient's account", Tags: tags,
		Description: "The patient opens the URL and allows it; the browser is then redirected to a URL that goes to connectWearable.",
	}, func(ctx context.Context, in *struct {
		Body struct {
			Maker    string `json:"maker" maxLength:"40"`
			Patient  string `json:"patient" minLength:"1" maxLength:"64" doc:"Id of the FHIR Patient"`
			Timezone string `json:"timezone,omitempty" maxLength:"64" doc:"IANA name of the account's time zone"`
		}
	},
	) (*body[WearableAuthorization], error) {
		a, err := s.cfg.Wearables.Begin(ctx, in.Body.Maker, in.Body.Patient, in.Body.Timezone)
		return &body[WearableAuthorization]{WearableAuthorization{a.URL, a.Redirect, a.Expires.UTC()}}, err
	})
	post(s, huma.Operation{
		OperationID: "connectWearable", Path: "/v1/wearables/connections", Summary: "Connect the account that was authorized", Tags: tags,
		Description: "An authorization is taken once, however that goes. The connection is durable when the answer comes, and the first pull begins.",
	}, func(ctx context.Context, in *struct {
		Body struct {
			Redirected string `json:"redirected" maxLength:"8192" doc:"The whole URL to which the maker redirected the browser"`
		}
	},
	) (*body[Wearable], error) {
		c, err := s.cfg.Wearables.Complete(ctx, in.Body.Redirected)
		return &body[Wearable]{wearableOf(c)}, err
	})
	post(s, huma.Operation{
		OperationID: "pullWearable", Path: "/v1/wearables/connections/{id}/pull", Summary: "Pull now", Tags: tags,
		Description: "That the site asked is durable when the answer comes.",
	}, func(ctx context.Context, in *struct {
		ID   int64 `path:"id" minimum:"1"`
		Body struct {
			Since time.Time `json:"since,omitzero" doc:"Ask again for what was from then on; absent for what is new"`
		}
	},
	) (*body[Wearable], error) {
		c, err := s.cfg.Wearables.Pull(ctx, in.ID, in.Body.Since)
		return &body[Wearable]{wearableOf(c)}, err
	})
	post(s, huma.Operation{
		OperationID: "disconnectWearable", Path: "/v1/wearables/connections/{id}/disconnect", Summary: "End a connection", Tags: tags,
		Description: "The maker is told, where it can be, and the tokens are deleted. What was fetched stays.",
	}, func(ctx context.Context, in *wearablePath) (*body[WearableGone], error) {
		told, err := s.cfg.Wearables.Disconnect(ctx, in.ID)
		return &body[WearableGone]{WearableGone{told}}, err
	})
}

func wearableOf(c wearable.Connection) Wearable {
	return Wearable{
		ID: strconv.FormatInt(c.ID, 10), Maker: c.Maker, Patient: c.Patient, Timezone: c.Timezone, State: string(c.State),
		Connected: c.Connected.UTC(), Asked: c.Asked.UTC(), Began: moment(c.Began), Ended: moment(c.Ended), Success: moment(c.Success), Next: moment(c.Next),
		Pulling: c.Pulling, Error: c.Error,
	}
}
