package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/siem"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.yaml.in/yaml/v3"
)

// TestStreams has every entry of the audit log written once and in order, over two runs.
func TestStreams(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		w := start(t, url, func(c *Config) { c.Streams = []Stream{{Name: "soc", File: path}} })
		deed := func() {
			t.Helper()
			if _, err := w.Access.CreatePerson(w.ctx, access.NewPerson{Name: t.Name() + w.clock.now().String(), Roles: nil}); err == nil {
				t.Fatal("a person without a role was made")
			}
			if _, _, err := w.Access.CreateToken(w.ctx, access.NewToken{Person: ward.ActorFrom(w.ctx).Person, Name: "another"}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Audit.Sequence(w.ctx); err != nil {
				t.Fatal(err)
			}
			if err := w.streaming.Do(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		deed()
		deed()
		eventually(t, "the stream to come to the end", func() bool {
			if err := w.streaming.Do(w.ctx); err != nil {
				t.Fatal(err)
			}
			got, want := streamed(t, path), sequenced(t, w)
			return slices.Equal(got, want) && slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, " "+access.ActionTokenCreated) })
		})
	})
}

// streamed lists the places and actions in a file.
func streamed(t *testing.T, path string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the server's own job may be about to write the first
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		var e siem.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, place(e.Index, e.Action))
	}
	return out
}

func sequenced(t *testing.T, w *world) (out []string) {
	t.Helper()
	all, err := w.Audit.Sequenced(w.ctx, 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		out = append(out, place(e.Index, e.Action))
	}
	return out
}

func place(index int64, action string) string {
	b, _ := json.Marshal(index)
	return string(b) + " " + action
}

// TestMetricsAreGuarded reads the metrics with and without proof.
func TestMetricsAreGuarded(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	get := func(token string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := w.people.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	_, narrow, err := w.Access.CreateToken(w.ctx, access.NewToken{Person: ward.ActorFrom(w.ctx).Person, Name: "narrow", Scopes: []access.Permission{access.DeviceRead}})
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"": 401, "ward_nonsense": 401, narrow: 403, w.token: 200} {
		if got := get(token); got != want {
			t.Errorf("metrics with the token %.8q answer %d, want %d", token, got, want)
		}
	}
	w.config.Metrics.Open = true
	if got := get(""); got != 200 {
		t.Errorf("open metrics answer %d", got)
	}
}

// TestTraces looks at the spans of requests whose addresses hold secrets: they hold patterns.
func TestTraces(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	spans := tracetest.NewInMemoryExporter()
	tr := tracerOf(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	h := http.NewServeMux()
	h.Handle("/", tr.traced("people", w.web))
	for _, target := range []string{"/setup/s3cretlink?next=s3cretnext", "/nowhere/s3cretpath", "/signin"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://ward.example"+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		h.ServeHTTP(&discard{}, req)
	}
	if err := tr.job("expiry", func(context.Context) error { return os.ErrClosed })(t.Context()); err == nil {
		t.Error("the error of a job went lost")
	}
	raw, err := json.Marshal(spans.GetSpans())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "s3cret") {
		t.Errorf("a span holds a secret: %s", raw)
	}
	var names []string
	for _, s := range spans.GetSpans() {
		names = append(names, s.Name)
		if !strings.HasPrefix(s.Name, "job") && s.SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("the span %s is not of its caller's trace", s.Name)
		}
	}
	if want := []string{"GET /setup/{secret}", "/", "GET /signin", "job expiry"}; !slices.Equal(names, want) {
		t.Errorf("spans are %q, want %q", names, want)
	}
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (*discard) Write(b []byte) (int, error) { return len(b), nil }
func (*discard) WriteHeader(int)             {}

// TestMonitoringFiles holds the dashboard and the rules against the metrics that there are.
func TestMonitoringFiles(t *testing.T) {
	t.Parallel()
	w := start(t, "", func(c *Config) { c.Metrics.Open = true })
	w.metrics.pushed(nil)
	w.metrics.authorized.WithLabelValues("allowed").Inc()
	families, err := w.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known, jobs := map[string]bool{}, 0
	for _, f := range families {
		known[f.GetName()] = true
		if f.GetName() == "ward_job_success_timestamp_seconds" {
			jobs = len(f.GetMetric())
		}
	}
	if _, all := w.book.States(); jobs == 0 || jobs != len(all) {
		t.Errorf("the metrics tell of %d jobs, want %d", jobs, len(all))
	}
	for _, d := range described(w.counted()) { // those of which there is nothing yet
		known[d] = true
	}
	for _, file := range []string{"../docs/monitoring/grafana-ward.json", "../docs/monitoring/ward.rules.yml"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if strings.HasSuffix(file, ".json") {
			err = json.Unmarshal(b, &tree)
		} else {
			err = yaml.Unmarshal(b, &tree)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		found := regexp.MustCompile(`\bward_[a-z_]+\b`).FindAllString(string(b), -1)
		if len(found) < 5 {
			t.Errorf("%s names %d metrics only", file, len(found))
		}
		for _, name := range found {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, suffix)
			}
			if !known[name] {
				t.Errorf("%s names %s, which is no metric", file, name)
			}
		}
	}
}

// described lists the names of the metrics that a collector may give.
func described(c prometheus.Collector) (out []string) {
	ch := make(chan *prometheus.Desc, 100)
	c.Describe(ch)
	close(ch)
	for d := range ch {
		_, rest, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ := strings.Cut(rest, `"`)
		out = append(out, name)
	}
	return out
}
