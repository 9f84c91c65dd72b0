package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
)

// Permission is one thing that an actor may or may not do.
type Permission string

// The permissions. Every operation of the API and every page declares the one it
// needs.
const (
	DeviceRead     Permission = "device:read"
	DeviceWrite    Permission = "device:write"
	DeviceRefresh  Permission = "device:refresh"
	DeviceLock     Permission = "device:lock"
	DeviceLost     Permission = "device:lost"
	LocationRead   Permission = "location:read"
	InviteRead     Permission = "invite:read"
	InviteCreate   Permission = "invite:create"
	PolicyRead     Permission = "policy:read"
	PolicyPublish  Permission = "policy:publish"
	OrderRead      Permission = "order:read"
	OrderRequest   Permission = "order:request"
	OrderApprove   Permission = "order:approve"
	OrderRefuse    Permission = "order:refuse"
	OrderCancel    Permission = "order:cancel"
	OrderCancelAll Permission = "order:cancel-all"
	ApproverRead   Permission = "approver:read"
	ApproverInvite Permission = "approver:invite"
	CaseDecide     Permission = "case:decide"
	PINRead        Permission = "pin:read"
	NotifyRead     Permission = "notify:read"
	NotifyWrite    Permission = "notify:write"
	AuditRead      Permission = "audit:read"
	PersonRead     Permission = "person:read"
	PersonWrite    Permission = "person:write"
	CommandRead    Permission = "command:read"
	CommandEnqueue Permission = "command:enqueue"
	CommandCancel  Permission = "command:cancel"
	CARead         Permission = "ca:read"
	CAWrite        Permission = "ca:write"
	APNsRead       Permission = "apns:read"
	APNsWrite      Permission = "apns:write"
	BackupWrite    Permission = "backup:write"
	MetricsRead    Permission = "metrics:read"
	ExportMake     Permission = "export:make"
	EvidenceRead   Permission = "evidence:read"
	RegisterRead   Permission = "register:read"
	ExceptionWrite Permission = "exception:write"
	AuditExport    Permission = "audit:export"
	RoleWrite      Permission = "role:write"
	SessionRead    Permission = "session:read"
	SessionWrite   Permission = "session:write"
	SettingsWrite  Permission = "settings:write"
	TemplateWrite  Permission = "template:write"
	MineRead       Permission = "mine:read"
	HealthRead     Permission = "health:read"
	PersonErase    Permission = "person:erase"
	ViewWrite      Permission = "view:write"
	SeedWrite      Permission = "seed:write"
)

// words says what each permission lets one do, as in "You may not …".
var words = []struct {
	permission Permission
	deed       string
}{
	{DeviceRead, "see devices"},
	{DeviceWrite, "change what is known of a device"},
	{DeviceRefresh, "ask a device for news"},
	{DeviceLock, "lock a device"},
	{DeviceLost, "report a device lost or found"},
	{LocationRead, "see where a lost device is"},
	{InviteRead, "see invitations"},
	{InviteCreate, "invite a device to enrol"},
	{PolicyRead, "see the policy"},
	{PolicyPublish, "publish a policy"},
	{OrderRead, "see orders"},
	{OrderRequest, "ask for an order"},
	{OrderApprove, "approve an order"},
	{OrderRefuse, "refuse an order"},
	{OrderCancel, "cancel somebody else's order"},
	{OrderCancelAll, "cancel every order at once"},
	{ApproverRead, "see who may approve orders"},
	{ApproverInvite, "invite someone to become an approver"},
	{CaseDecide, "decide whether a loss is reported to the regulator"},
	{PINRead, "see the PIN of a locked Mac"},
	{NotifyRead, "see what was told to the people on call"},
	{NotifyWrite, "send a test message or a message again"},
	{AuditRead, "read the audit log"},
	{PersonRead, "see the people who use Ward"},
	{PersonWrite, "add people or change what they may do"},
	{CommandRead, "see commands"},
	{CommandEnqueue, "queue a raw command"},
	{CommandCancel, "cancel a command"},
	{CARead, "see certificates"},
	{CAWrite, "change or revoke certificates"},
	{APNsRead, "see the state of the push certificate"},
	{APNsWrite, "change the push certificate"},
	{BackupWrite, "make a backup"},
	{MetricsRead, "read metrics"},
	{ExportMake, "take a list or a report away as a file"},
	{EvidenceRead, "read evidence and reports"},
	{RegisterRead, "see the register of approved apps and the exceptions"},
	{ExceptionWrite, "make or end an exception"},
	{AuditExport, "take the audit log away as a file"},
	{RoleWrite, "make or change roles"},
	{SessionRead, "see where other people are signed in"},
	{SessionWrite, "sign other people out"},
	{SettingsWrite, "change settings"},
	{TemplateWrite, "change the words that staff read"},
	{MineRead, "see your own devices"},
	{HealthRead, "see the health of the server"},
	{PersonErase, "erase what is known of a person"},
	{ViewWrite, "save a view of a list"},
	{SeedWrite, "fill Ward with made-up devices"},
}

// Permissions lists every permission, in the order in which they are shown.
func Permissions() []Permission {
	out := make([]Permission, len(words))
	for i, w := range words {
		out[i] = w.permission
	}
	return out
}

// Valid reports whether p is a permission that exists.
func (p Permission) Valid() bool { return p.deed() != "" }

// Words says what p lets one do, as in "You may not …": "see devices". It is empty if there is
// no such permission.
func (p Permission) Words() string { return p.deed() }

// deed says what p lets one do, "" if there is no such permission.
func (p Permission) deed() string {
	for _, w := range words {
		if w.permission == p {
			return w.deed
		}
	}
	return ""
}

// narrowedPrefix begins the one role of an actor whose token is narrowed by scopes.
// It is no role that a person can hold, so code that asks for a role by its name
// finds none: a narrowed token can never do more than it seems.
const narrowedPrefix = "only:"

// narrowed returns the role that holds exactly those scopes that roles hold too.
func narrowed(roles []ward.Role, scopes []Permission) ward.Role {
	var kept []string
	for _, p := range scopes {
		if holds(roles, p) {
			kept = append(kept, string(p))
		}
	}
	return ward.Role(narrowedPrefix + strings.Join(kept, ","))
}

func holds(roles []ward.Role, p Permission) bool {
	for _, r := range roles {
		if list, ok := strings.CutPrefix(string(r), narrowedPrefix); ok {
			if slices.Contains(strings.Split(list, ","), string(p)) {
				return true
			}
			continue
		}
		if rest, ok := strings.CutPrefix(string(r), madePrefix); ok {
			_, list, _ := strings.Cut(rest, ":")
			if slices.Contains(strings.Split(list, ","), string(p)) {
				return true
			}
			continue
		}
		if slices.Contains(granted(r), p) {
			return true
		}
	}
	return false
}

// Allows reports whether a may do p. Ward itself and the operator at the server's
// console may do everything but approve an order, which takes a person who has signed in
// by a browser: no token does, whoever's it is. Who is bounded to sites or groups may do
// nothing that is about the whole organisation. A device and the zero Actor may do nothing
// here.
func Allows(a ward.Actor, p Permission) bool {
	if !p.Valid() || p.Whole() && !a.Scope.All() {
		return false
	}
	switch a.Via {
	case ward.ViaSystem, ward.ViaConsole:
		return p != OrderApprove
	case ward.ViaToken:
		return p != OrderApprove && a.Person != "" && holds(a.Roles, p)
	case ward.ViaSession:
		return a.Person != "" && holds(a.Roles, p)
	default:
		return false
	}
}

// Check returns nil if the actor in ctx may do p; otherwise a *ward.Error that says
// what may not be done and who may: Unauthenticated when nobody acts, else Forbidden.
func Check(ctx context.Context, p Permission) error {
	a := ward.ActorFrom(ctx)
	if Allows(a, p) {
		return nil
	}
	if a.Via == "" {
		return ward.Errorf(ward.Unauthenticated, "Sign in first.")
	}
	bounded := a
	if bounded.Scope = (ward.Scope{}); p.Whole() && Allows(bounded, p) {
		return WholeOnly(ctx, fmt.Sprintf("%s (%s)", p.deed(), p))
	}
	who := "Nobody may."
	if roles := RolesWith(p); len(roles) > 0 {
		list := make([]string, len(roles))
		for i, r := range roles {
			list[i] = string(r)
		}
		who = "Someone with the role " + strings.Join(list, " or ") + " may."
	}
	if a.Via == ward.ViaToken && len(a.Roles) == 1 && strings.HasPrefix(string(a.Roles[0]), narrowedPrefix) {
		who += " This token is narrowed to a part of what its person may do."
	}
	if a.Via == ward.ViaToken && p == OrderApprove {
		who += " It takes a browser and a passkey: no token approves."
	}
	deed := p.deed()
	if deed == "" {
		deed = "do this"
	}
	return ward.Errorf(ward.Forbidden, "You may not %s (%s). %s", deed, p, who)
}

// Check is the function Check as a method, for those who take the gate as an
// interface.
func (s *Service) Check(ctx context.Context, p Permission) error { return Check(ctx, p) }
