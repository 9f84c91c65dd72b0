package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/seed"
	"golang.org/x/sync/errgroup"
)

// pageFigures are what the pages of one sort took, from asking to the last byte, and how much
// of each came over the wire.
type pageFigures struct {
	Name    string  `json:"name"`
	Asked   int     `json:"asked"`
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
	Most    float64 `json:"most_ms"`
	Bytes   int     `json:"bytes"` // the median
	Slowest string  `json:"slowest"`
}

// visit is what a browser fetches and shows that comes for the first time.
type visit struct {
	Page   int     `json:"page_bytes"`
	Style  int     `json:"style_bytes"`
	Script int     `json:"script_bytes"`
	Paint  float64 `json:"first_paint_ms,omitempty"` // the median; 0 where it was not measured
}

// seededDays is how long the past of the devices is that pages are measured with.
const seededDays = 365

// pagesMeasured measures the pages of a made-up fleet: the overview, lists with filters, and
// both as they were in the past.
func pagesMeasured(ctx context.Context, p plan, at *place, say teller) (r report, err error) {
	r.Database = at.engine()
	o := order{Config: at.config(p), Link: true}
	o.Config.MDM.DeviceAuthorities, o.Config.Trial = nil, true
	if p.seeded != "" {
		err = useSeeded(ctx, p.seeded, &o.Config)
	} else {
		r.Seeded, err = fill(ctx, p, &o, say)
	}
	if err != nil {
		return r, err
	}
	c, err := startChild(ctx, o)
	if err != nil {
		return r, err
	}
	b, err := newBrowser(ctx, c.served)
	if err == nil {
		err = b.measure(ctx, p, c, &r, say)
	}
	if err == nil && p.browser {
		r.Visit.Paint, err = firstPaint(ctx, b)
	}
	if err == nil {
		r.ServerMemory, err = resident(c.pid())
	}
	return r, join(err, c.stop())
}

// useSeeded has the server use a folder that is filled, at the address that it was filled for.
func useSeeded(ctx context.Context, dir string, c *server.Config) error {
	o, err := server.OpenConsole(ctx, dir)
	if err != nil {
		return err
	}
	c.Data, c.PublicURL = dir, o.PublicURL()
	u, err := url.Parse(c.PublicURL)
	if err == nil {
		c.Listen = "127.0.0.1:" + u.Port()
	}
	return join(err, o.Close())
}

// fill makes a server's folder and fills it, and returns how many seconds that took.
func fill(ctx context.Context, p plan, o *order, say teller) (float64, error) {
	c, err := startChild(ctx, *o) // it makes the keys
	if err != nil {
		return 0, err
	}
	o.Config.PublicURL, o.Config.Listen = c.URL, c.Listen
	if err := c.stop(); err != nil {
		return 0, err
	}
	say("making %d devices with %d days of the past", p.devices, p.days)
	began := time.Now()
	sum, err := server.Seed(ctx, o.Config, seed.Options{Devices: p.devices, Days: p.days, Sites: 6, Groups: 200, Random: 1})
	if err != nil {
		return 0, err
	}
	took := time.Since(began).Seconds()
	say("made them with %d changes in %.0f s", sum.Changes, took)
	return took, nil
}

// browser asks for pages as a person who has signed in.
type browser struct {
	url  string
	http *http.Client
	jar  *cookiejar.Jar
}

func newBrowser(ctx context.Context, s served) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	b := &browser{url: s.URL, http: newClient(s, 4).http, jar: jar}
	b.http.Jar = jar
	res, err := b.ask(ctx, http.MethodPost, "/signin/"+s.Link)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	if bytes.Contains(res.plain, []byte(`action="/signin"`)) {
		return nil, fmt.Errorf("sign in: the link leads to the sign-in page")
	}
	return b, nil
}

type answer struct {
	plain []byte
	wire  int
	took  time.Duration
}

// ask asks for one page as a browser does, compressed.
func (b *browser) ask(ctx context.Context, method, path string) (a answer, err error) {
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, http.NoBody)
	if err != nil {
		return a, err
	}
	r.Header.Set("Accept-Encoding", "gzip")
	began := time.Now()
	res, err := b.http.Do(r)
	if err != nil {
		return a, err
	}
	body, err := io.ReadAll(res.Body)
	a.took, a.wire, a.plain = time.Since(began), len(body), body
	err = join(err, res.Body.Close())
	if err == nil && res.Header.Get("Content-Encoding") == "gzip" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			a.plain, err = io.ReadAll(z)
		}
	}
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, a.plain)
	}
	return a, err
}

// measure asks for each sort of page again and again.
func (b *browser) measure(ctx context.Context, p plan, c *child, r *report, say teller) error {
	first, err := b.ask(ctx, http.MethodGet, "/")
	if err != nil {
		return err
	}
	r.Visit = &visit{Page: first.wire}
	for _, file := range regexp.MustCompile(`/static/ward\.[0-9a-f]+\.(css|js)`).FindAll(first.plain, -1) {
		a, err := b.ask(ctx, http.MethodGet, string(file))
		if err != nil {
			return err
		}
		if strings.HasSuffix(string(file), "css") {
			r.Visit.Style = a.wire
		} else {
			r.Visit.Script = a.wire
		}
	}
	ways := newWays(p)
	for _, sort := range []struct {
		name string
		path func() string
	}{
		{"overview", func() string { return "/" }},
		{"devices, any filter", func() string { return "/devices?" + ways.filter().Encode() }},
		{"overview in the past", func() string { return "/?" + ways.past(url.Values{}).Encode() }},
		{"devices in the past, any filter", func() string { return "/devices?" + ways.past(ways.filter()).Encode() }},
	} {
		say("asking for: %s", sort.name)
		if p.profile != "" {
			if err := c.profile(filepath.Join(p.profile, strings.ReplaceAll(sort.name, " ", "-")+".pprof")); err != nil {
				return err
			}
		}
		f, err := b.sort(ctx, p, sort.name, sort.path)
		if err != nil {
			return err
		}
		r.Pages = append(r.Pages, f)
	}
	if p.profile != "" {
		return c.profile("")
	}
	return nil
}

// visitors is how many people ask at once.
const visitors = 2

func (b *browser) sort(ctx context.Context, p plan, name string, path func() string) (pageFigures, error) {
	type asked struct {
		answer
		path string
	}
	paths := make([]string, p.asked)
	for i := range paths {
		paths[i] = path()
	}
	all := make([]asked, len(paths))
	var g errgroup.Group
	for v := range visitors {
		g.Go(func() error {
			for i := v; i < len(paths); i += visitors {
				a, err := b.ask(ctx, http.MethodGet, paths[i])
				if err != nil {
					return err
				}
				a.plain = nil
				all[i] = asked{a, paths[i]}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return pageFigures{}, err
	}
	slices.SortFunc(all, func(x, y asked) int { return int(x.took - y.took) })
	took, wire := make([]time.Duration, len(all)), make([]int, len(all))
	for i, a := range all {
		took[i], wire[i] = a.took, a.wire
	}
	slices.Sort(wire)
	return pageFigures{
		Name: name, Asked: len(all), P50: milliseconds(took, 50), P95: milliseconds(took, 95), Most: milliseconds(took, 100), Bytes: wire[len(wire)/2], Slowest: all[len(all)-1].path,
	}, nil
}

// ways makes up what people ask for.
type ways struct {
	*rand.Rand
	days int
}

func newWays(p plan) ways {
	return ways{rand.New(rand.NewPCG(1, 1)), p.days} //nolint:gosec // nothing secret is made
}

// filter is some filter, of one part or several.
func (w ways) filter() url.Values {
	q := url.Values{}
	of := func(all ...string) string { return all[w.IntN(len(all))] }
	for range 1 + w.IntN(3) {
		switch w.IntN(9) {
		case 0:
			q.Set("state", of("compliant", "non-compliant", "unknown", "pending", "retired"))
		case 1:
			q.Set("q", of("iphone", "alice", "davies", "cardiology 2", "26.1", "trust.example"))
		case 2:
			q.Set("platform", of("ios", "macos"))
		case 3:
			q.Set("app", of("whatsapp", "telegram", "signal"))
		case 4:
			q.Set("finding", of("blocked-app-present", "not-seen", "no-passcode", "app-missing"))
		case 5:
			q.Set("os", of("26", "18.6", "old"))
		case 6:
			q.Set("ownership", of("corporate", "personal"))
		case 7:
			q.Set("not_seen", of("7", "30"))
		case 8:
			q.Set("enrolled", "yes")
		}
	}
	return q
}

// past adds an instant to a filter.
func (w ways) past(q url.Values) url.Values {
	ago := time.Hour + time.Duration(w.Int64N(int64(w.days-2))*int64(24*time.Hour)+w.Int64N(int64(24*time.Hour)))
	q.Set("as_of", time.Now().UTC().Add(-ago).Format(time.RFC3339))
	return q
}
