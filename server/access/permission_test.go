package access_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// golden compares got with a file of testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s mismatch (-want +got); run the test with -update and read the difference:\n%s", file, diff)
	}
}

// TestMatrix writes out who may do what, so that a change of the table is read.
func TestMatrix(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, r := range access.BuiltIn() {
		fmt.Fprintf(&b, "%s: %s. %s\n", r.ID, r.Name, r.Description)
	}
	b.WriteByte('\n')
	for _, p := range access.Permissions() {
		fmt.Fprintf(&b, "%-16s", p)
		for _, r := range access.RolesWith(p) {
			b.WriteString(" " + string(r))
		}
		b.WriteByte('\n')
	}
	golden(t, "matrix", b.String())
}

// TestRolesThatCome: every role has its entry, in one order, and says what it is.
func TestRolesThatCome(t *testing.T) {
	t.Parallel()
	var ids []ward.Role
	for _, r := range access.BuiltIn() {
		ids = append(ids, r.ID)
		if r.Name == "" || !strings.HasSuffix(r.Description, ".") || strings.Contains(r.Description, "\n") || !r.BuiltIn {
			t.Errorf("role %s has no name or no description of one line: %+v", r.ID, r)
		}
		for _, p := range r.Permissions {
			if !p.Valid() {
				t.Errorf("role %s holds %q, which does not exist", r.ID, p)
			}
		}
		if slices.ContainsFunc(r.Permissions, access.Permission.Asks) && slices.ContainsFunc(r.Permissions, access.Permission.Decides) {
			t.Errorf("role %s both asks for orders and decides on them", r.ID)
		}
		if slices.Contains(r.Permissions, access.PersonWrite) && slices.ContainsFunc(r.Permissions, access.Permission.Decides) {
			t.Errorf("role %s hands out roles and decides on orders", r.ID)
		}
	}
	if diff := cmp.Diff(ward.Roles, ids); diff != "" {
		t.Errorf("roles mismatch (-ward.Roles +access.BuiltIn)\n%s", diff)
	}
}

// TestGovernanceSendsNoCommand: who decides what is approved reaches no device.
func TestGovernanceSendsNoCommand(t *testing.T) {
	t.Parallel()
	for _, p := range []access.Permission{
		access.DeviceWrite, access.DeviceRefresh, access.DeviceLock, access.DeviceLost, access.LocationRead, access.PINRead, access.CommandEnqueue, access.CommandCancel, access.OrderRequest,
		access.InviteCreate, access.CAWrite,
	} {
		if slices.Contains(access.RolesWith(p), ward.RoleGovern) {
			t.Errorf("governance holds %s", p)
		}
	}
}

// TestStaffSeeTheirOwn: staff see nothing but their own devices.
func TestStaffSeeTheirOwn(t *testing.T) {
	t.Parallel()
	for _, p := range access.Permissions() {
		if slices.Contains(access.RolesWith(p), ward.RoleStaff) != (p == access.MineRead) {
			t.Errorf("staff and %s: want nothing but %s", p, access.MineRead)
		}
	}
}

// TestAuditorChangesNothing: the auditor's permissions are to read, and to take away
// what is read.
func TestAuditorChangesNothing(t *testing.T) {
	t.Parallel()
	for _, p := range access.Permissions() {
		reads := strings.HasSuffix(string(p), ":read") || p == access.ExportMake || p == access.AuditExport
		if slices.Contains(access.RolesWith(p), ward.RoleAuditor) && !reads {
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
	const want = "You may not publish a policy (policy:publish). Someone with the role admin or device-admin or governance may."
	if ward.KindOf(err) != ward.Forbidden || err.Error() != want {
		t.Errorf("Check = %v, want Forbidden %q", err, want)
	}
	wantKind(t, "nobody", access.Check(t.Context(), access.DeviceRead), ward.Unauthenticated)
}
