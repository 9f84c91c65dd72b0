package ward

import (
	"context"
	"slices"
)

// Actor is who is acting: a person through a session or a token, a device, or Ward
// itself.
type Actor struct {
	Person PersonID // empty unless a person acts
	Name   string
	Email  string // of the person; may be empty
	Via    Via
	Token  string // the token's id, never its secret
	Roles  []Role
	Device DeviceID // set when a device acts
	Scope  Scope    // which devices the actor may see and act on
}

// Scope bounds which devices somebody may see and act on. The zero Scope bounds nothing.
type Scope struct {
	Sites  []string // devices of these sites; empty: of every site
	Groups []string // devices of these groups; empty: of every group
}

// All reports whether the scope bounds nothing.
func (s Scope) All() bool { return len(s.Sites) == 0 && len(s.Groups) == 0 }

// Includes reports whether a device of a site and a group lies in the scope: it has to
// meet both bounds where both are set.
func (s Scope) Includes(site, group string) bool {
	return (len(s.Sites) == 0 || slices.Contains(s.Sites, site)) && (len(s.Groups) == 0 || slices.Contains(s.Groups, group))
}

// Via says by what means an actor came.
type Via string

// The ways in.
const (
	ViaSession Via = "session"
	ViaToken   Via = "token"
	ViaDevice  Via = "device"
	ViaConsole Via = "console" // a command run on the server's own data folder
	ViaSystem  Via = "system"
)

// System is Ward acting by itself, as its policy says.
var System = Actor{Name: "Ward", Via: ViaSystem}

// Role is a set of permissions that a person holds.
type Role string

// The roles that come with Ward. What each may do says package access, and whoever
// administers Ward may make more.
const (
	RoleAdmin       Role = "admin"        // people, roles, settings: everything but approving
	RoleSupport     Role = "support"      // the help desk: see, enrol, lock, report lost, ask for an order
	RoleDeviceAdmin Role = "device-admin" // devices, enrolment, policy, certificates, ask for an order
	RoleGovern      Role = "governance"   // register, exceptions, evidence, policy; no commands
	RoleApprover    Role = "approver"     // say yes or no to orders
	RoleAuditor     Role = "auditor"      // read only
	RoleOperator    Role = "operator"     // the server: health, certificates, pushes, backup, notifications
	RoleStaff       Role = "staff"        // one's own devices
)

// Roles lists every role that comes with Ward.
var Roles = []Role{RoleAdmin, RoleSupport, RoleDeviceAdmin, RoleGovern, RoleApprover, RoleAuditor, RoleOperator, RoleStaff}

type contextKey int

const (
	actorKey contextKey = iota
	requestKey
)

// WithActor returns a context in which a acts.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey, a)
}

// ActorFrom returns who acts in ctx; without one it is the zero Actor, which may do
// nothing.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey).(Actor)
	return a
}

// Unbounded returns a context in which the same actor acts on the whole organisation. It is
// for what has to be whole to be right, such as counting, or calling an order off for every
// device of it; never for what is shown or chosen.
func Unbounded(ctx context.Context) context.Context {
	a := ActorFrom(ctx)
	if a.Scope.All() {
		return ctx
	}
	a.Scope = Scope{}
	return WithActor(ctx, a)
}

// WithRequestID returns a context that carries the id of the request, for log lines
// and for the error a person reads.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey, id)
}

// RequestID returns the request's id, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}
