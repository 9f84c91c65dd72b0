package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver/approvertest"
)

// people are those of the story: Alex of IT support, Priya who is on call, and Morag of
// the trust next door.
type people struct {
	desk, desk2, onCall *client // Alex with two tokens, and Priya
	who                 []approvertest.Who
	alex, priya, morag  *approvertest.Person // with their passkeys, once they have registered
}

// demoPeople makes the people of the story, as the operator at the console.
func demoPeople(ctx context.Context, srv *server.Server) (p people, err error) {
	ctx = ward.WithActor(ctx, ward.Actor{Name: "console", Via: ward.ViaConsole})
	for _, one := range []access.NewPerson{
		{Name: "Alex Morgan", Email: "alex@hospital.example", Roles: []ward.Role{ward.RoleSupport, ward.RoleAdmin, ward.RoleGovern, ward.RoleApprover}},
		{Name: "Priya Shah", Email: "priya@hospital.example", Roles: []ward.Role{ward.RoleApprover, ward.RoleGovern}},
		{Name: "Morag Sinclair", Email: "morag@next-door.example", Roles: []ward.Role{ward.RoleApprover}},
	} {
		made, err := srv.Access.CreatePerson(ctx, one)
		if err != nil {
			return p, fmt.Errorf("make %s: %w", one.Name, err)
		}
		p.who = append(p.who, approvertest.Who{Person: made.ID, Name: one.Name, Subject: one.Email, Roles: one.Roles, Outside: len(p.who) == 2})
	}
	base, err := url.Parse(srv.URL())
	if err != nil {
		return p, err
	}
	for _, t := range []struct {
		into **client
		of   int
		name string
	}{{&p.desk, 0, "desk"}, {&p.desk2, 0, "phone"}, {&p.onCall, 1, "on call"}} {
		_, secret, err := srv.Access.CreateToken(ctx, access.NewToken{Person: p.who[t.of].Person, Name: t.name})
		if err != nil {
			return p, err
		}
		*t.into = newClient(base, secret, srv.Authority.Pool())
	}
	return p, nil
}
