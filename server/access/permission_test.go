package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// TestMatrix writes out who may do what, so that a change of the table is read.
func TestMatrix(t *testing.T) {
	t.Parallel()
	const everyone = "admin support governance approver auditor"
	want := map[access.Permission]string{
		access.DeviceRead:     everyone,
		access.DeviceWrite:    "admin support",
		access.DeviceRefresh:  "admin support",
		access.DeviceLock:     "admin support",
		access.DeviceLost:     "admin support",
		access.LocationRead:   "support",
		access.InviteRead:     everyone,
		access.InviteCreate:   "admin support",
		access.PolicyRead:     everyone,
		access.PolicyPublish:  "admin governance",
		access.OrderRead:      everyone,
		access.OrderRequest:   "admin support",
		access.OrderApprove:   "approver",
		access.OrderRefuse:    "approver",
		access.OrderCancel:    "admin",
		access.OrderCancelAll: "admin",
		access.ApproverRead:   "admin governance approver auditor",
		access.ApproverInvite: "admin",
		access.CaseDecide:     "governance",
		access.PINRead:        "admin support",
		access.NotifyRead:     "admin governance approver auditor",
		access.NotifyWrite:    "admin",
		access.AuditRead:      "admin governance auditor",
		access.PersonRead:     "admin governance auditor",
		access.PersonWrite:    "admin",
		access.CommandRead:    "admin support governance auditor",
		access.CommandEnqueue: "admin",
		access.CommandCancel:  "admin",
		access.CARead:         "admin governance auditor",
		access.CAWrite:        "admin",
		access.APNsRead:       "admin governance auditor",
		access.APNsWrite:      "admin",
		access.BackupWrite:    "admin",
		access.MetricsRead:    "admin governance auditor",
	}
	got := map[access.Permission]string{}
	for _, p := range access.Permissions() {
		var roles []string
		for _, r := range access.RolesWith(p) {
			roles = append(roles, string(r))
		}
		got[p] = strings.Join(roles, " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who may do what: mismatch (-want +got)\n%s", diff)
	}
}

// TestAuditorChangesNothing: the auditor's permissions are to read.
func TestAuditorChangesNothing(t *testing.T) {
	t.Parallel()
	for _, p := range access.Permissions() {
		if slices.Contains(access.RolesWith(p), ward.RoleAuditor) && !strings.HasSuffix(string(p), ":read") {
			t.Errorf("an auditor holds %s", p)
		}
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	approver := []ward.Role{ward.RoleApprover}
	tests := []struct {
		name       string
		actor      ward.Actor
		permission access.Permission
		want       bool
	}{
		{"an approver", ward.Actor{Person: "p", Via: ward.ViaSession, Roles: approver}, access.OrderApprove, true},
		{"an approver's token", ward.Actor{Person: "p", Via: ward.ViaToken, Roles: approver}, access.OrderApprove, false},
		{"an approver's token saying no", ward.Actor{Person: "p", Via: ward.ViaToken, Roles: approver}, access.OrderRefuse, true},
		{"an approver, beyond the role", ward.Actor{Person: "p", Via: ward.ViaSession, Roles: approver}, access.PersonWrite, false},
		{"roles without a person", ward.Actor{Via: ward.ViaSession, Roles: approver}, access.OrderApprove, false},
		{"the zero actor", ward.Actor{}, access.DeviceRead, false},
		{"roles without a way in", ward.Actor{Person: "p", Roles: approver}, access.DeviceRead, false},
		{"a device", ward.Actor{Via: ward.ViaDevice, Device: "d", Roles: approver}, access.DeviceRead, false},
		{"Ward itself", ward.System, access.PersonWrite, true},
		{"Ward itself approving", ward.System, access.OrderApprove, false},
		{"the console", console, access.BackupWrite, true},
		{"the console approving", console, access.OrderApprove, false},
		{"the console approving in a person's name", ward.Actor{Person: "p", Via: ward.ViaConsole, Roles: approver}, access.OrderApprove, false},
		{"a permission that does not exist", ward.System, "device:explode", false},
		{"a role that does not exist", ward.Actor{Person: "p", Via: ward.ViaSession, Roles: []ward.Role{"root"}}, access.DeviceRead, false},
	}
	for _, tt := range tests {
		if got := access.Allows(tt.actor, tt.permission); got != tt.want {
			t.Errorf("%s: Allows(%+v, %s) = %v, want %v", tt.name, tt.actor, tt.permission, got, tt.want)
		}
	}
}

func TestCheckNamesTheCure(t *testing.T) {
	t.Parallel()
	ctx := as(t, ward.Actor{Person: "p", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleAuditor}})
	err := access.Check(ctx, access.PolicyPublish)
	const want = "You may not publish a policy (policy:publish). Someone with the role admin or governance may."
	if ward.KindOf(err) != ward.Forbidden || err.Error() != want {
		t.Errorf("Check = %v, want Forbidden %q", err, want)
	}
	wantKind(t, "nobody", access.Check(t.Context(), access.DeviceRead), ward.Unauthenticated)
}
