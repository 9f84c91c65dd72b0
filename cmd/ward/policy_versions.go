package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func policyVersions(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.list(c.Context, "/policy/versions", nil, 0)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.PolicyVersion]) {
		if len(v.Items) == 0 {
			p.line("No policy is published yet: ward policy publish FILE publishes one.")
			return
		}
		rows := make([][]string, len(v.Items))
		for i, n := range v.Items {
			rows[i] = []string{
				strconv.FormatInt(n.Generation, 10), string(n.State), stamp(n.Published), by(n.Author, ""), n.ApproverName,
				fmt.Sprintf("%d of %d", n.Changed, n.Devices), n.Note, n.Reason,
			}
		}
		p.table([]string{"GENERATION", "STATE", "MADE", "AUTHOR", "APPROVER", "CHANGED", "NOTE", "REASON"}, rows)
	})
}

func policyDiff(c *cli.Context) error {
	names := []string{"TO"}
	if c.NArg() == 2 {
		names = []string{"FROM", "TO"}
	}
	cl, args, err := readyFor(c, names...)
	if err != nil {
		return err
	}
	q := url.Values{}
	if len(args) == 2 {
		q.Set("from", args[0])
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: versionPath(args[len(args)-1], "/diff"), query: q})
	if err != nil {
		return err
	}
	return answer(c, raw, printDiff)
}

func printDiff(p *printer, d api.PolicyDiff) {
	for _, w := range d.Words {
		p.line("%s", w)
	}
	if d.Unified == "" {
		p.line("The text is the same.")
		return
	}
	if len(d.Words) > 0 {
		p.line("")
	}
	p.write(cleanText(d.Unified))
}
