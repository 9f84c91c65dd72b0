package access_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var manager = access.Role{ID: "ward-manager", Name: "Ward manager", Description: "Looks after a ward.", Permissions: []access.Permission{access.DeviceLost, access.DeviceRead}}

// TestMadeRole: a role that somebody made holds what it was given, at once, and through tokens
// of its holders, also narrowed ones; when it changes they hold what it holds then.
func TestMadeRole(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		ctx := as(t, console)
		r, err := g.CreateRole(ctx, manager)
		if err != nil {
			t.Fatal(err)
		}
		if want := []access.Permission{access.DeviceRead, access.DeviceLost}; !slices.Equal(r.Permissions, want) {
			t.Errorf("permissions = %v, want %v in their order", r.Permissions, want)
		}
		p := g.person("Wren", manager.ID)
		_, whole := g.token(p)
		_, narrow := g.token(p, access.DeviceRead, access.DeviceLock)
		may := func(s *access.Service, secret string, want ...access.Permission) {
			t.Helper()
			a, err := s.Authenticate(t.Context(), secret)
			if err != nil {
				t.Fatal(err)
			}
			var got []access.Permission
			for _, p := range access.Permissions() {
				if access.Allows(a, p) {
					got = append(got, p)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("may mismatch (-want +got):\n%s", diff)
			}
		}
		other := g.another()
		may(g.Service, whole, access.DeviceRead, access.DeviceLost)
		may(g.Service, narrow, access.DeviceRead)
		may(other, whole, access.DeviceRead, access.DeviceLost)
		if a := g.actor(p); !access.Allows(a, access.DeviceLost) || access.Allows(a, access.DeviceLock) {
			t.Errorf("a session of %+v does not hold exactly what the role holds", a)
		}

		changed := manager
		changed.Permissions = []access.Permission{access.DeviceRead, access.DeviceLock}
		if _, err := g.ChangeRole(ctx, changed); err != nil {
			t.Fatal(err)
		}
		may(g.Service, whole, access.DeviceRead, access.DeviceLock)
		g.clock.advance(4 * time.Second)
		may(other, whole, access.DeviceRead, access.DeviceLock)

		err = g.RemoveRole(ctx, manager.ID)
		if wantKind(t, "removing a role that is held", err, ward.Conflict); !strings.Contains(err.Error(), "is held by Wren") {
			t.Errorf("RemoveRole = %v, want who holds it", err)
		}
		if err := g.SetRoles(ctx, p.ID, []ward.Role{ward.RoleStaff}); err != nil {
			t.Fatal(err)
		}
		if err := g.RemoveRole(ctx, manager.ID); err != nil {
			t.Fatal(err)
		}
		wantKind(t, "giving a role that is gone", g.SetRoles(ctx, p.ID, []ward.Role{manager.ID}), ward.Invalid)
		wantKind(t, "removing it again", g.RemoveRole(ctx, manager.ID), ward.NotFound)
		if diff := cmp.Diff([]string{access.ActionRoleCreated, access.ActionRoleChanged, access.ActionRoleRemoved}, g.actions(ward.PersonID(manager.ID))); diff != "" {
			t.Errorf("audited mismatch (-want +got):\n%s", diff)
		}
	})
}

func TestRolesThatCannotBe(t *testing.T) {
	t.Parallel()
	g := newGate(t, storetest.SQLite(t))
	ctx := as(t, console)
	with := func(id ward.Role, name string, p ...access.Permission) access.Role {
		return access.Role{ID: id, Name: name, Permissions: p}
	}
	for _, tt := range []struct {
		name string
		role access.Role
		kind ward.Kind
		says string
	}{
		{"approves", with("boss", "Boss", access.OrderApprove), ward.Invalid, "Only the role approver may approve an order"},
		{"refuses", with("boss", "Boss", access.OrderRefuse), ward.Invalid, "Only the role approver"},
		{"cancels every order", with("boss", "Boss", access.OrderCancelAll), ward.Invalid, "Only the role admin"},
		{"asks and decides", with("boss", "Boss", access.OrderRequest, access.OrderApprove), ward.Invalid, "No role both asks"},
		{"holds nothing", with("boss", "Boss"), ward.Invalid, "at least one permission"},
		{"holds what does not exist", with("boss", "Boss", "device:explode"), ward.Invalid, `no permission "device:explode"`},
		{"has an id that divides", with("made:x:person", "Boss", access.DeviceRead), ward.Invalid, "small letters"},
		{"has no name", with("boss", " ", access.DeviceRead), ward.Invalid, "name is missing"},
		{"has the id of one that comes with Ward", with("admin", "Boss", access.DeviceRead), ward.Conflict, "already"},
		{"has the name of one that comes with Ward", with("boss", "help DESK", access.DeviceRead), ward.Conflict, "already"},
	} {
		_, err := g.CreateRole(ctx, tt.role)
		if wantKind(t, tt.name, err, tt.kind); !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
	_, err := g.ChangeRole(ctx, with(ward.RoleSupport, "Desk", access.DeviceRead))
	wantKind(t, "changing one that comes with Ward", err, ward.Conflict)
	wantKind(t, "removing one that comes with Ward", g.RemoveRole(ctx, ward.RoleSupport), ward.Conflict)
	if all, err := g.Roles(ctx); err != nil || len(all) != len(ward.Roles) {
		t.Errorf("Roles = %d, %v; want none but those that come with Ward", len(all), err)
	}
}

// TestNobodyRises: who may change people or roles, and is no administrator, gives nobody more
// than they may do themselves, by whatever way, and takes nothing from who may do more.
func TestNobodyRises(t *testing.T) {
	t.Parallel()
	g := newGate(t, storetest.SQLite(t))
	ctx := as(t, console)
	hr := access.Role{ID: "people-desk", Name: "People desk", Permissions: []access.Permission{access.PersonRead, access.PersonWrite, access.PersonErase, access.RoleWrite, access.DeviceRead}}
	for _, r := range []access.Role{hr, manager, {ID: "looker", Name: "Looker", Permissions: []access.Permission{access.DeviceRead}}} {
		if _, err := g.CreateRole(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	root, fresh := g.person("Root", ward.RoleAdmin), g.person("Fresh root", ward.RoleAdmin)
	p, low := g.person("Harper", hr.ID), g.person("Lou", "looker")
	_, narrow := g.token(root, access.PersonWrite, access.RoleWrite, access.DeviceRead)
	narrowed, err := g.Authenticate(t.Context(), narrow)
	if err != nil {
		t.Fatal(err)
	}
	for who, a := range map[string]ward.Actor{"a people desk": g.actor(p), "a narrowed token of an administrator": narrowed} {
		as := as(t, a)
		for name, do := range map[string]func(context.Context) error{
			"becoming an administrator": func(ctx context.Context) error { return g.SetRoles(ctx, p.ID, []ward.Role{ward.RoleAdmin}) },
			"giving the help desk":      func(ctx context.Context) error { return g.SetRoles(ctx, low.ID, []ward.Role{ward.RoleSupport}) },
			"giving a made role":        func(ctx context.Context) error { return g.SetRoles(ctx, low.ID, []ward.Role{manager.ID}) },
			"adding an administrator": func(ctx context.Context) error {
				_, err := g.CreatePerson(ctx, access.NewPerson{Name: "Puppet", Roles: []ward.Role{ward.RoleAdmin}})
				return err
			},
			"adding an approver": func(ctx context.Context) error {
				_, err := g.CreatePerson(ctx, access.NewPerson{Name: "Puppet", Roles: []ward.Role{ward.RoleApprover}})
				return err
			},
			"making a role that locks": func(ctx context.Context) error {
				_, err := g.CreateRole(ctx, access.Role{ID: "locker", Name: "Locker", Permissions: []access.Permission{access.DeviceLock}})
				return err
			},
			"making one's own role hold more": func(ctx context.Context) error {
				more := hr
				more.Permissions = append(slices.Clone(hr.Permissions), access.DeviceLock)
				_, err := g.ChangeRole(ctx, more)
				return err
			},
			"taking from a role that holds more": func(ctx context.Context) error {
				_, err := g.ChangeRole(ctx, access.Role{ID: manager.ID, Name: manager.Name, Permissions: []access.Permission{access.DeviceRead}})
				return err
			},
			"a link of an administrator who never signed in": func(ctx context.Context) error {
				_, err := g.CreateLink(ctx, fresh.ID, access.LinkSetup, time.Hour)
				return err
			},
			"taking an administrator's role": func(ctx context.Context) error { return g.SetRoles(ctx, root.ID, []ward.Role{"looker"}) },
			"bounding an administrator":      func(ctx context.Context) error { return g.SetScope(ctx, root.ID, ward.Scope{Sites: []string{"x"}}) },
			"disabling an administrator":     func(ctx context.Context) error { return g.DisablePerson(ctx, root.ID) },
		} {
			wantKind(t, who+": "+name, do(as), ward.Forbidden)
		}
		if err := g.SetRoles(as, low.ID, []ward.Role{"looker"}); err != nil {
			t.Errorf("%s can't give a role that holds no more than they: %v", who, err)
		}
	}
	if got, err := g.PersonByName(ctx, "Puppet"); err == nil {
		t.Errorf("a puppet was added: %+v", got)
	}
}

// TestScope: the bounds of a person are those of every session and token, hold over every
// role, and an administrator of a part administers nothing.
func TestScope(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		ctx := as(t, console)
		root, nora := g.person("Root", ward.RoleAdmin), g.person("Nora", ward.RoleSupport, ward.RoleAdmin)
		_, secret := g.token(nora, access.DeviceRead)
		scope := ward.Scope{Sites: []string{"Royal Infirmary", "A, \"B\" & C"}, Groups: []string{"wards"}}
		if err := g.SetScope(ctx, nora.ID, ward.Scope{Sites: []string{" Royal Infirmary", "A, \"B\" & C", "Royal Infirmary"}, Groups: []string{"wards"}}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(scope.Sites)
		session := g.actor(nora)
		token, err := g.Authenticate(t.Context(), secret)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]ward.Scope{scope, scope}, []ward.Scope{session.Scope, token.Scope}); diff != "" {
			t.Errorf("scope mismatch (-want +got):\n%s", diff)
		}
		if !access.Allows(session, access.DeviceLock) || access.Allows(session, access.PersonWrite) || access.Allows(session, access.PolicyPublish) {
			t.Error("who is bounded holds either too little or what is about the whole organisation")
		}
		wantKind(t, "bounding the last administrator", g.SetScope(ctx, root.ID, scope), ward.Conflict)
		wantKind(t, "disabling the last one of the whole", g.DisablePerson(ctx, root.ID), ward.Conflict)
		wantKind(t, "a bound without a name", g.SetScope(ctx, nora.ID, ward.Scope{Groups: []string{" "}}), ward.Invalid)
		wantKind(t, "freeing oneself", g.SetScope(as(t, session), nora.ID, ward.Scope{}), ward.Forbidden)
		if err := g.SetScope(ctx, nora.ID, ward.Scope{}); err != nil {
			t.Fatal(err)
		}
		if a := g.actor(nora); !a.Scope.All() || !access.Allows(a, access.PersonWrite) {
			t.Errorf("freed, she is %+v", a)
		}
	})
}

// TestWholeIsDecided: each permission is either about devices, which a scope can bound, or
// about the whole organisation. A new one is decided on here.
func TestWholeIsDecided(t *testing.T) {
	t.Parallel()
	var bounded []string
	for _, p := range access.Permissions() {
		if !p.Whole() {
			bounded = append(bounded, string(p))
		}
	}
	const want = "device:read device:write device:refresh device:lock device:lost location:read invite:read invite:create policy:read order:read order:request order:approve order:refuse order:cancel" +
		" case:decide pin:read command:read command:cancel export:make evidence:read register:read mine:read view:write"
	if diff := cmp.Diff(strings.Fields(want), bounded); diff != "" {
		t.Errorf("permissions that a scope bounds mismatch (-want +got):\n%s", diff)
	}
}

func TestOwns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		actor  ward.Actor
		device ward.Device
		want   bool
	}{
		{"theirs", ward.Actor{Person: "p", Email: "Sam@trust.example"}, ward.Device{Email: " sam@TRUST.example"}, true},
		{"another's", ward.Actor{Person: "p", Email: "sam@trust.example"}, ward.Device{Email: "sue@trust.example"}, false},
		{"nobody's, by nobody's address", ward.Actor{Person: "p"}, ward.Device{}, false},
		{"no person", ward.Actor{Email: "sam@trust.example"}, ward.Device{Email: "sam@trust.example"}, false},
	} {
		if got := access.Owns(tt.actor, tt.device); got != tt.want {
			t.Errorf("%s: Owns = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestErasePerson: of somebody who is erased nothing can be read and nothing works, while the
// log still verifies; who must stay, stays.
func TestErasePerson(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		stands := ward.PersonID("")
		var err error
		g.Service, err = access.New(access.Config{
			Store: db.Access(), Audit: g.log, Now: g.clock.now, Forget: g.log.ForgetPerson,
			Stands: func(_ context.Context, id ward.PersonID) (bool, error) { return id == stands, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx := as(t, console)
		root := g.person("Root", ward.RoleAdmin)
		p, err := g.CreatePerson(ctx, access.NewPerson{Name: "Priya Shah", Email: "priya@trust.example", Roles: []ward.Role{ward.RoleSupport}})
		if err != nil {
			t.Fatal(err)
		}
		_, secret := g.token(p)
		link, err := g.CreateLink(ctx, p.ID, access.LinkSignIn, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		wantKind(t, "erasing the last administrator", g.ErasePerson(ctx, root.ID), ward.Conflict)
		stands = p.ID
		wantKind(t, "erasing an approver who stands", g.ErasePerson(ctx, p.ID), ward.Conflict)
		stands = ""
		gov := g.actor(g.person("Gov", ward.RoleGovern))
		wantKind(t, "the governance lead erasing who may do more", g.ErasePerson(as(t, gov), p.ID), ward.Forbidden)
		wantKind(t, "support erasing", g.ErasePerson(as(t, g.actor(p)), gov.Person), ward.Forbidden)
		if err := g.ErasePerson(as(t, g.actor(root)), p.ID); err != nil {
			t.Fatal(err)
		}

		got, err := g.Person(ctx, p.ID)
		if err != nil || got.Name != access.ErasedName || got.Email != "" || len(got.Roles) > 0 || got.ErasedAt.IsZero() || got.DisabledAt.IsZero() {
			t.Errorf("what is left is %+v, %v", got, err)
		}
		_, err = g.Authenticate(t.Context(), secret)
		wantKind(t, "their token", err, ward.Unauthenticated)
		_, _, err = g.Redeem(t.Context(), link)
		wantKind(t, "their link", err, ward.Unauthenticated)
		_, err = g.Actor(t.Context(), p.ID, ward.ViaSession)
		wantKind(t, "their session", err, ward.Unauthenticated)
		wantKind(t, "enabling them", g.EnablePerson(ctx, p.ID), ward.Conflict)
		wantKind(t, "erasing them again", g.ErasePerson(ctx, p.ID), ward.Conflict)
		if again := g.person("Priya Shah", ward.RoleStaff); again.ID == p.ID {
			t.Error("the name is not free again")
		}
		all, err := g.log.List(ctx, audit.Filter{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		erased := 0
		for _, e := range all {
			if e.SubjectErased {
				erased++
			}
			if e.Action == access.ActionErased && e.Subject != string(p.ID) {
				t.Errorf("the erasure is recorded as %+v", e)
			}
		}
		if erased < 3 {
			t.Errorf("%d entries about them are unreadable, want those of the person, the token and the link", erased)
		}
	})
}
