package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracing says where traces go.
type Tracing struct {
	Endpoint   string  `yaml:"endpoint"`
	Share      float64 `yaml:"share"`
	HeaderFile string  `yaml:"header_file"`
}

func (t Tracing) mistakes(bad func(field, format string, args ...any)) {
	u, err := url.Parse(t.Endpoint)
	if t.Endpoint != "" && (err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil) {
		bad("tracing.endpoint", "%q is not an address such as https://collector.example.org:4318/v1/traces", t.Endpoint)
	}
	if t.Share < 0 || t.Share > 1 {
		bad("tracing.share", "%g is not a share of the requests from 0 to 1", t.Share)
	}
	if _, err := (Stream{HeaderFile: t.HeaderFile}).header(); err != nil {
		bad("tracing.header_file", "%s", strings.TrimPrefix(err.Error(), "header_file: "))
	}
}

// tracer makes spans, of nothing where no endpoint is configured. Spans hold methods, the
// patterns of routes, statuses, jobs and durations: no path, query, name or id, for these may
// be secrets or somebody's.
type tracer struct {
	trace.Tracer
	provider *sdktrace.TracerProvider // nil: none
}

const traceName = "github.com/wardmdm/ward"

func newTracer(ctx context.Context, t Tracing) (tracer, error) {
	if t.Endpoint == "" {
		return tracer{Tracer: noop.NewTracerProvider().Tracer(traceName)}, nil
	}
	header, err := (Stream{HeaderFile: t.HeaderFile}).header()
	if err != nil {
		return tracer{}, err
	}
	headers := map[string]string{}
	for k, v := range header {
		headers[k] = v[0]
	}
	to, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(t.Endpoint), otlptracehttp.WithHeaders(headers))
	if err != nil {
		return tracer{}, ward.Errorf(ward.Invalid, "tracing.endpoint: %v.", err)
	}
	return tracerOf(sdktrace.NewTracerProvider(sdktrace.WithBatcher(to), sdktrace.WithSampler(sampler(t.Share)),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "ward"))))), nil
}

// sampler traces a share of the requests, whatever those who ask wish for: anybody may.
func sampler(share float64) sdktrace.Sampler {
	own := sdktrace.TraceIDRatioBased(share)
	return sdktrace.ParentBased(own, sdktrace.WithRemoteParentSampled(own), sdktrace.WithRemoteParentNotSampled(own))
}

func tracerOf(p *sdktrace.TracerProvider) tracer { return tracer{p.Tracer(traceName), p} }

// close sends what is still in memory.
func (t tracer) close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("traces: %w", err)
	}
	return nil
}

// traced makes a span of each request, under the trace that its caller began.
func (t tracer) traced(part string, next http.Handler) http.Handler {
	if t.provider == nil {
		return next
	}
	callers := propagation.TraceContext{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := t.Start(callers.Extract(r.Context(), propagation.HeaderCarrier(r.Header)), part, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		r = r.WithContext(ctx)
		next.ServeHTTP(seen, r)
		if r.Pattern != "" { // the mux beneath has written it
			span.SetName(r.Pattern)
			span.SetAttributes(attribute.String("http.route", r.Pattern))
		}
		span.SetAttributes(attribute.String("ward.part", part), attribute.String("http.request.method", r.Method), attribute.Int("http.response.status_code", seen.status))
		if seen.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader meets http.ResponseWriter.
func (w *statusWriter) WriteHeader(code int) {
	if code >= http.StatusOK {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the writer beneath.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// job makes a span of each run of a job.
func (t tracer) job(name string, do func(ctx context.Context) error) func(ctx context.Context) error {
	if t.provider == nil {
		return do
	}
	return func(ctx context.Context) error {
		ctx, span := t.Start(ctx, "job "+name, trace.WithNewRoot())
		defer span.End()
		err := do(ctx)
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		return err
	}
}
