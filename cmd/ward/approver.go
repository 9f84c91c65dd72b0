package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/approver"
)

func newApproverCommand() *cli.Command {
	return &cli.Command{
		Name:  "approver",
		Usage: "see who may approve orders, and invite, trust and end them",
		Subcommands: []*cli.Command{
			{Name: "list", Usage: "show everybody who registered, and what can be proven of them", Action: approverList, Flags: remoteFlags()},
			{
				Name: "invite", Usage: "make the link by which a person registers their passkey", ArgsUsage: "PERSON", Action: approverInvite,
				Description: "The person signs in, opens the link and registers a passkey. After that two approvers\n" +
					"vouch for them in a browser; the first two are trusted by ward approver trust. Whoever\n" +
					"lost their passkey is invited anew.",
				Flags: remoteFlags(
					&cli.StringFlag{Name: "subject", Usage: "who the human being is: a staff `NUMBER` or e-mail address. Accounts of one subject count as one person"},
					&cli.BoolFlag{Name: "outside", Usage: "not one of the organisation's own staff"},
				),
			},
			{
				Name: "end", Usage: "end an approver, at the server's console: what they signed before stays good, and nothing after", ArgsUsage: "APPROVER", Action: approverEnd,
				Description: "People who have signed in end one on the page Approvers. No token does.",
				Flags: append(consoleFlags(), &cli.StringFlag{Name: "reason", Usage: "why, for the record"},
					&cli.BoolFlag{Name: "json", Usage: "print who was ended as JSON"}),
			},
			{
				Name: "trust", Usage: "trust the first two approvers, at the server's console", ArgsUsage: "APPROVER...", Action: approverTrust,
				Description: "Their statements are written beside the server's keys, out of the database's reach:\n" +
					"every later approver is proven back to them. Compare how each statement begins with what its\n" +
					"owner was shown when they registered. When passkeys were lost, so that fewer than two people\n" +
					"stand, it works again. Where several copies of the server have a folder of keys each,\n" +
					"copy approvers.json to all.",
				Flags: append(consoleFlags(), yesFlag(), &cli.BoolFlag{Name: "json", Usage: "print who is trusted as JSON"}),
			},
		},
	}
}

func yesFlag() cli.Flag { return &cli.BoolFlag{Name: "yes", Usage: "ask nothing"} }

func approverList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/approvers"})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.ApproverList) {
		standing := 0
		rows := make([][]string, len(v.Items))
		for i, a := range v.Items {
			if a.State == approver.Stands {
				standing++
			}
			rows[i] = []string{a.ID, a.Person.Name, a.Subject, approverState(a), stamp(a.Registered), fingerprint(a.Hash)}
		}
		if len(rows) > 0 {
			p.table([]string{"APPROVER", "NAME", "SUBJECT", "STATE", "REGISTERED", "STATEMENT"}, rows)
		}
		if standing < approver.Quorum {
			p.line("%s may approve, and an order needs two. Invite people with ward approver invite; the first two are trusted\nat the server's console, with ward approver trust.", counted(standing, "person"))
		}
	})
}

func approverState(a api.Approver) string {
	w := string(a.State)
	switch {
	case a.State == approver.Pending && a.Needs > 0:
		w += fmt.Sprintf(", %d of %d vouches", approver.Quorum-a.Needs, approver.Quorum)
	case a.State == approver.Ended:
		w += " at " + at(a.Ended, "a time not told")
	case a.Founder:
		w += ", trusted by the operator"
	}
	if a.Outside {
		w += ", from outside"
	}
	return w
}

// fingerprint writes the beginning of a hash so that two people can compare it aloud.
func fingerprint(hash string) string {
	const shown, group = 12, 4 // as the pages do
	var out []string
	for part := range slices.Chunk([]byte(hash[:min(len(hash), shown)]), group) {
		out = append(out, string(part))
	}
	return strings.Join(out, " ")
}

func approverInvite(c *cli.Context) error {
	args, err := arguments(c, "PERSON")
	if err != nil {
		return err
	}
	if strings.TrimSpace(c.String("subject")) == "" {
		return usagef(c, "--subject is missing: the staff number or e-mail address by which two accounts of one person are known as one.")
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/approvers/invitations", map[string]any{"person": args[0], "subject": c.String("subject"), "outside": c.Bool("outside")})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.ApproverInvitation) {
		p.line("%s registers a passkey by this link, within 7 days and when signed in. It is told this once:", v.Person.Name)
		p.line("  %s", v.URL)
	})
}

func approverEnd(c *cli.Context) error {
	args, err := arguments(c, "APPROVER")
	if err != nil {
		return err
	}
	reason, err := reasonOf(c)
	if err != nil {
		return err
	}
	if err := onlyAtConsole(c); err != nil {
		return err
	}
	return console(c, func(ctx context.Context, k *server.Console) error {
		s, err := k.Approvers()
		if err != nil {
			return err
		}
		if err := s.End(ctx, args[0], reason); err != nil {
			return err
		}
		if c.Bool("json") {
			return printValue(c.App.Writer, map[string]string{"approver": args[0], "reason": reason})
		}
		_, err = fmt.Fprintf(c.App.Writer, "%s approves nothing any more. What they signed before stays good.\n", args[0])
		return err
	})
}

// trusted is what is told of a founder as JSON.
type trusted struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Outside bool   `json:"outside,omitempty"`
	Key     string `json:"key_sha256"`
	Hash    string `json:"hash"` // of the statement that is trusted
}

func approverTrust(c *cli.Context) error {
	if c.NArg() == 0 {
		return usagef(c, "APPROVER is missing: ward approver list tells the ids.")
	}
	if err := onlyAtConsole(c); err != nil {
		return err
	}
	return console(c, func(ctx context.Context, k *server.Console) error {
		s, err := k.Approvers()
		if err != nil {
			return err
		}
		chosen, err := chosenApprovers(ctx, s, c.Args().Slice())
		if err != nil {
			return err
		}
		p := &printer{w: c.App.ErrWriter}
		for _, t := range chosen {
			p.line("%s", t.Name+outsideWord(t.Outside))
			p.facts("approver", t.ID, "subject", t.Subject, "passkey", fingerprint(t.Key), "statement", fingerprint(t.Hash))
		}
		if p.err != nil {
			return p.err
		}
		if err := confirmYes(c, "Are these the people who told you so themselves, and no two of them one person?"); err != nil {
			return err
		}
		if err := s.Trust(ctx, c.Args().Slice()...); err != nil {
			return err
		}
		if c.Bool("json") {
			return printValue(c.App.Writer, chosen)
		}
		_, err = fmt.Fprintf(c.App.Writer, "%s trusted. Back up the folder of keys now, and copy approvers.json to every copy of the server that has a folder of its own.\n", isAre(len(chosen)))
		return err
	})
}

func outsideWord(outside bool) string {
	if outside {
		return " (from outside)"
	}
	return ""
}

func isAre(n int) string {
	if n == 1 {
		return "1 approver is"
	}
	return fmt.Sprintf("%d approvers are", n)
}

// chosenApprovers finds approvers by their ids.
func chosenApprovers(ctx context.Context, s *approver.Service, ids []string) ([]trusted, error) {
	all, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []trusted
	for _, id := range ids {
		i := slices.IndexFunc(all, func(a approver.Standing) bool { return a.ID == id })
		if i < 0 {
			return nil, ward.Errorf(ward.NotFound, "There is no approver %s: ward approver list tells the ids.", id)
		}
		sum := sha256.Sum256(all[i].Key.Public)
		out = append(out, trusted{ID: id, Name: all[i].Name, Subject: all[i].Subject, Outside: all[i].Outside, Key: hex.EncodeToString(sum[:]), Hash: all[i].Hash})
	}
	return out, nil
}
