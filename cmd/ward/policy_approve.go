package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/policy"
)

func newPolicyApproveCommand() *cli.Command {
	return &cli.Command{
		Name: "approve", Usage: "say yes to what another person proposed: it is published as it was proposed", ArgsUsage: "GENERATION",
		Description: "What it changes is shown first, and the first 8 characters of its digest are to be\n" +
			"typed. A script names the whole digest with --digest. What is approved is what was\n" +
			"shown: the digest is worked out here, from that, and not taken from the server.",
		Flags:  remoteFlags(&cli.StringFlag{Name: "digest", Usage: "`DIGEST` of the proposal that was read before; nothing is asked"}),
		Action: policyApprove,
	}
}

func policyApprove(c *cli.Context) error {
	cl, args, err := readyFor(c, "GENERATION")
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: versionPath(args[0], "")})
	if err != nil {
		return err
	}
	var v api.Policy
	if err := json.Unmarshal(raw, &v); err != nil {
		return unexpected(err)
	}
	digest, err := policy.Version{
		Generation: v.Generation, Text: v.Text, Files: v.Files, Rings: ringsOf(v.PolicyVersion), Reason: v.Reason, Base: v.Base, PublishedBy: v.PublishedBy,
	}.Digest()
	if err != nil {
		return err
	}
	if digest != v.Digest {
		return fmt.Errorf("the server states the digest %s for generation %d, but what it shows has the digest %s: nothing was approved, tell whoever runs the server", v.Digest, v.Generation, digest)
	}
	if err := agree(c, cl, v, digest); err != nil {
		return err
	}
	if raw, err = cl.send(c.Context, http.MethodPost, versionPath(args[0], "/approve"), map[string]string{"digest": digest}); err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Policy) { printPublished(p, v.PolicyVersion) })
}

// agree makes sure that the person, or the script, means this very proposal.
func agree(c *cli.Context, cl *client, v api.Policy, digest string) error {
	if given := strings.ToLower(strings.TrimSpace(c.String("digest"))); given != "" {
		if given != digest {
			return fmt.Errorf("generation %d has the digest %s, not %s: it is another proposal than the one that was read", v.Generation, digest, given)
		}
		return nil
	}
	if !isTerminal(c.App.Reader) {
		return usagef(c, "There is no terminal to ask on: read the proposal with ward policy diff and ward policy show --generation, and name its digest with --digest.")
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: versionPath(c.Args().First(), "/diff")})
	if err != nil {
		return err
	}
	var d api.PolicyDiff
	if err := json.Unmarshal(raw, &d); err != nil {
		return unexpected(err)
	}
	p := &printer{w: c.App.ErrWriter}
	printVersion(p, v.PolicyVersion)
	printDiff(p, d)
	p.line("\ndigest %s", digest)
	p.write(fmt.Sprintf("Type the first %d characters of the digest to approve: ", typed))
	if p.err != nil {
		return p.err
	}
	line, err := bufio.NewReader(c.App.Reader).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.ToLower(strings.TrimSpace(line)) != digest[:typed] {
		return fmt.Errorf("that is not the beginning of the digest: generation %d was not approved", v.Generation)
	}
	return nil
}

func policyWithdraw(c *cli.Context) error {
	cl, args, err := readyFor(c, "GENERATION")
	if err != nil {
		return err
	}
	if c.String("reason") == "" {
		return usagef(c, "--reason is missing: the record has to say why.")
	}
	raw, err := cl.send(c.Context, http.MethodPost, versionPath(args[0], "/withdraw"), map[string]string{"reason": c.String("reason")})
	if err != nil {
		return err
	}
	return said(c, raw, "Generation "+args[0]+" is withdrawn: it is never sent.")
}
