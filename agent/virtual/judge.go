package virtual

import (
	"context"
	"errors"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
)

// Judge is a device without a network: it takes profiles, declarations and commands as a
// Phone does, by the same rules, and answers the same questions. It counts as enrolled
// with every right. The identities that profiles ask for are taken as given, without a
// certificate. It is safe for concurrent use.
type Judge struct {
	*body
	get func(url string) ([]byte, error) // of the call that is under way
}

// NewJudge returns a judge for a device of these options, of which it needs none: those
// about the network are not used, and without a Clock all happens at the zero time.
func NewJudge(o Options) *Judge {
	if o.Clock == nil {
		o.Clock = func() time.Time { return time.Time{} }
	}
	j := &Judge{}
	j.body = newBody(o, j)
	return j
}

// InstallProfile installs a profile as the command InstallProfile does. An error is an
// *agent.ProfileError with Apple's code.
func (j *Judge) InstallProfile(data []byte) error {
	prof, err := agent.ParseProfile(data)
	if err != nil {
		return err
	}
	return j.InstallParsed(prof)
}

// InstallParsed is InstallProfile for a profile that agent.ParseProfile has read. It does
// not change prof: several devices may share it.
func (j *Judge) InstallParsed(prof *agent.Profile) error {
	if len(prof.Of(typeMDM)) > 0 {
		return refusal(codeUnacceptable, "the device is managed already")
	}
	return j.install(context.Background(), prof, byServer)
}

// Command obeys a command given as a property list, and returns its answer. A command of
// declarative management does nothing more: ApplyDeclarations does.
func (j *Judge) Command(raw []byte) (agent.Response, error) {
	c, err := agent.ParseCommand(raw)
	if err != nil {
		return agent.Response{}, err
	}
	return j.handle(context.Background(), c), nil
}

// Do obeys a command of a request type and its other keys, whose values must be of the
// types that a property list has: whole numbers are int64 or uint64, lists []any.
func (j *Judge) Do(requestType string, fields map[string]any) agent.Response {
	return j.handle(context.Background(), agent.Command{RequestType: requestType, Payload: fields})
}

// Reach sets how the judge gets what an address holds, such as the manifest of an app. It
// may be nil: then nothing is to be had. ApplyDeclarations sets it too.
func (j *Judge) Reach(get func(url string) ([]byte, error)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.get = get
}

// ApplyDeclarations makes these the declarations on the device, as JSON, in place of all
// before, and returns what became of each, in the order of their identifiers. fetch gets
// what they point to and may be nil where they point to nothing. What is no declaration
// at all is returned with an empty identifier, after the others.
func (j *Judge) ApplyDeclarations(list [][]byte, fetch func(url string) ([]byte, error)) []DeclarationState {
	if !j.since(declarativeIOS, declarativeMac) {
		fault := Reason{Code: reasonNotSupported, Description: "the system knows no declarations"}
		return []DeclarationState{{Valid: invalid, Reasons: []Reason{fault}}}
	}
	next := map[string]*declaration{}
	var bad []DeclarationState
	for _, raw := range list {
		d, err := j.readDeclaration(raw)
		if err != nil {
			bad = append(bad, DeclarationState{Valid: invalid, Reasons: []Reason{{Code: reasonInvalidPayload, Description: err.Error()}}})
			continue
		}
		next[d.id] = d
	}
	j.mu.Lock()
	for id, d := range next {
		if old := j.ddm.held[id]; old != nil && old.same(d) {
			next[id] = old
		}
	}
	j.ddm.on, j.ddm.held, j.get = true, next, fetch
	j.mu.Unlock()
	if err := j.apply(context.Background()); err != nil {
		bad = append(bad, DeclarationState{Valid: unknown, Reasons: []Reason{{Code: reasonUnknown, Description: err.Error()}}})
	}
	return append(j.Declarations(), bad...)
}

// StatusReport returns the status report that the device would send now, as JSON; nil if
// nothing has changed since the last one and full is false.
func (j *Judge) StatusReport(full bool) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r, err := j.report(full)
	if err != nil || r == nil {
		return nil, err
	}
	j.ddm.reported, j.ddm.told = r.reported, r.told
	return r.body, nil
}

// Reconsider has the device look at its declarations again after the user did something,
// as a Phone does by itself.
func (j *Judge) Reconsider() []DeclarationState {
	if err := j.apply(context.Background()); err != nil {
		return append(j.Declarations(), DeclarationState{Valid: unknown, Reasons: []Reason{{Code: reasonUnknown, Description: err.Error()}}})
	}
	return j.Declarations()
}

var _ link = (*Judge)(nil)

func (j *Judge) enrolment() (*agent.Enrolment, error) { return nil, agent.ErrNotEnrolled }

func (j *Judge) rights() ward.AccessRights { return ward.RightsAll }

func (j *Judge) replace(context.Context, *agent.Profile, agent.Identity, bool) error {
	return agent.ErrNotEnrolled
}

func (j *Judge) tell(context.Context, bool) error { return agent.ErrNotEnrolled }

func (j *Judge) fetch(_ context.Context, address string, _ bool) ([]byte, error) {
	j.mu.Lock()
	get := j.get
	j.mu.Unlock()
	if get == nil {
		return nil, errors.New("there is nothing to fetch from")
	}
	return get(address)
}

func (j *Judge) identify(context.Context, agent.Payload) (agent.Identity, error) {
	return agent.Identity{}, nil
}

func (j *Judge) stir() {}

func (j *Judge) sync(context.Context, []byte) error { return nil }
