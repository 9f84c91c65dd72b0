package main

import (
	"context"
	"path"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/audit/verify"
)

// running returns the server of a script.
func running(ts *testscript.TestScript) *scriptServer {
	s := ts.Value(serverKey{}).(*scriptServer)
	if s.Server == nil {
		ts.Fatalf("this comes after server")
	}
	return s
}

// registered returns somebody who has registered a passkey.
func registered(ts *testscript.TestScript, name string) *approvertest.Person {
	p, ok := running(ts).people[name]
	if !ok {
		ts.Fatalf("%s has registered no passkey", name)
	}
	return p
}

// registerPasskey NAME LINK has somebody register a passkey in their browser, by the link
// that they were invited with. The variable APPROVER is then their id as an approver.
func registerPasskey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: register NAME LINK")
	}
	srv, secret := running(ts), path.Base(args[1])
	ctx := ward.WithActor(context.Background(), ward.Actor{Name: "console", Via: ward.ViaConsole})
	who, err := srv.Access.PersonByName(ctx, args[0])
	ts.Check(err)
	key, err := approvertest.New(srv.Approvers.RPID, srv.Approvers.Origin)
	ts.Check(err)
	p := &approvertest.Person{Passkey: key, Actor: ward.Actor{Person: who.ID, Name: who.Name, Via: ward.ViaSession, Roles: who.Roles}}
	options, err := srv.Approvers.BeginRegister(p.As(ctx), secret)
	ts.Check(err)
	response, err := key.Create(options)
	ts.Check(err)
	p.Approver, err = srv.Approvers.FinishRegister(p.As(ctx), secret, response)
	ts.Check(err)
	srv.people[args[0]] = p
	ts.Setenv("APPROVER", p.ID)
}

// vouch NAME NAME has an approver vouch in their browser for another who registered.
func vouch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: vouch NAME NAME")
	}
	_, err := registered(ts, args[0]).VouchFor(context.Background(), running(ts).Approvers, registered(ts, args[1]).Approver)
	ts.Check(err)
}

// sign NAME ORDER has an approver sign an order in their browser.
func sign(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: sign NAME ORDER")
	}
	srv, p := running(ts), registered(ts, args[0])
	ctx := p.As(context.Background())
	options, hash, err := srv.Orders.Begin(ctx, ward.OrderID(args[1]))
	if err == nil {
		var response []byte
		response, err = p.Passkey.Sign(options)
		ts.Check(err)
		_, err = srv.Orders.Approve(ctx, ward.OrderID(args[1]), hash, response)
	}
	if neg && err == nil {
		ts.Fatalf("%s could sign", args[0])
	}
	if !neg {
		ts.Check(err)
	}
}

// verified ID SIGNATURES checks the file of a case or an order, which was written into the
// current folder, as a stranger does who holds the server's public key.
func verified(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: verified ID SIGNATURES")
	}
	report, err := verify.VerifyCase(strings.NewReader(ts.ReadFile(args[0]+".json")), verify.CaseOptions{
		PublicKey: running(ts).Audit.PublicKey(), PDF: []byte(ts.ReadFile(args[0] + ".pdf")), Log: strings.NewReader(ts.ReadFile("export.jsonl")),
	})
	ts.Check(err)
	signed := 0
	for _, a := range report.Approvals {
		if a.Holds {
			signed++
		}
	}
	if report.ID != args[0] || len(report.Entries) == 0 || strconv.Itoa(signed) != args[1] {
		ts.Fatalf("the file is of %s, with %d entries and %d signatures", report.ID, len(report.Entries), signed)
	}
}
