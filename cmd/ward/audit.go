package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func newAuditCommand() *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "read, export and verify the record of who did what",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show entries, the newest first", Action: auditList,
				Flags: remoteFlags(
					&cli.StringFlag{Name: "action", Usage: "only this action, such as device.lost"},
					&cli.StringFlag{Name: "subject", Usage: "only deeds done to this `ID`"},
					&cli.StringFlag{Name: "actor", Usage: "only deeds of the person or device with this `ID`"},
					&cli.StringFlag{Name: "from", Usage: "only at or after this `TIME`, such as 2026-03-12"},
					&cli.StringFlag{Name: "until", Usage: "only before this `TIME`; a date means the end of that day"},
					&cli.IntFlag{Name: "limit", Value: 50, Usage: "how many entries; 0 for all"},
				),
			},
			{
				Name: "checkpoint", Usage: "print the signed checkpoint, to be kept elsewhere", Action: auditCheckpoint,
				Description: "A checkpoint kept where the server can't reach it shows later that nothing\nbefore it was changed or removed.",
				Flags:       remoteFlags(outputFlag()),
			},
			{Name: "key", Usage: "print the public key that checkpoints are signed with", Action: auditKey, Flags: remoteFlags()},
			{
				Name: "export", Usage: "write the whole log as JSON lines, personal data included", Action: auditExport,
				Flags: remoteFlags(outputFlag(), &cli.BoolFlag{Name: "leaves", Usage: "without any personal data; it can be verified just as well"}),
			},
			newAuditVerifyCommand(),
		},
	}
}

func auditList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	q := url.Values{}
	for _, name := range []string{"action", "subject", "actor", "from", "until"} {
		if v := c.String(name); v != "" {
			q.Set(name, v)
		}
	}
	raw, err := cl.list(c.Context, "/audit", q, c.Int("limit"))
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Entry]) {
		var rows [][]string
		for _, e := range v.Items {
			rows = append(rows, []string{stamp(e.At), who(e), e.Action, what(e), details(e)})
		}
		p.table([]string{"WHEN", "WHO", "ACTION", "SUBJECT", "DETAIL"}, rows)
	})
}

func who(e api.Entry) string {
	switch {
	case e.ActorErased || e.Actor == nil:
		return "(erased)"
	case e.Actor.Name != "":
		return e.Actor.Name
	}
	return string(e.Actor.Person) + string(e.Actor.Device)
}

func what(e api.Entry) string {
	if e.SubjectErased {
		return "(erased)"
	}
	return e.Subject
}

func details(e api.Entry) string {
	var parts []string
	if e.Damaged {
		parts = append(parts, "DAMAGED: the stored entry is not what was recorded")
	}
	for _, k := range sortedKeys(e.Detail) {
		parts = append(parts, k+"="+strconv.Quote(e.Detail[k]))
	}
	return strings.Join(parts, " ")
}

func auditCheckpoint(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/audit/checkpoint"})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printValue(c.App.Writer, map[string]string{"checkpoint": string(raw)})
	}
	return output(c, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

func auditKey(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/audit/key"})
	if err != nil {
		return err
	}
	key := strings.TrimSpace(string(raw))
	if c.Bool("json") {
		return printValue(c.App.Writer, map[string]string{"key": key})
	}
	_, err = fmt.Fprintln(c.App.Writer, key)
	return err
}

func auditExport(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	return output(c, func(w io.Writer) error { return export(c.Context, cl, c.Bool("leaves"), w) })
}

// export copies the log as JSON lines to w; leaves alone hold no personal data.
func export(ctx context.Context, cl *client, leaves bool, w io.Writer) error {
	r := request{method: http.MethodGet, path: "/audit/export"}
	if leaves {
		r.query = url.Values{"leaves": {"true"}}
	}
	return cl.stream(ctx, r, w)
}
