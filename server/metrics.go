package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/wardmdm/ward/server/apns"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
)

// metrics are what an operator watches. They hold counts only, never a person or a
// device.
type metrics struct {
	registry *prometheus.Registry
	pushes   *prometheus.CounterVec
	forged   prometheus.Counter
	held     prometheus.Counter
	requests *prometheus.HistogramVec

	authorized *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry:   prometheus.NewRegistry(),
		pushes:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ward_pushes_total", Help: "Pushes by outcome."}, []string{"outcome"}),
		forged:     prometheus.NewCounter(prometheus.CounterOpts{Name: "ward_commands_withheld_total", Help: "Queued commands that failed their seal or that nobody ordered."}),
		held:       prometheus.NewCounter(prometheus.CounterOpts{Name: "ward_brake_held_total", Help: "How often the brake began to hold a kind of deeds."}),
		authorized: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ward_authorize_total", Help: "Questions whether a device may come in, by the answer."}, []string{"reason"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ward_http_request_seconds", Help: "Time to answer a request, by part.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"part"}),
	}
	m.registry.MustRegister(m.pushes, m.forged, m.held, m.requests, m.authorized, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// pushed counts the outcome of one try to push.
func (m *metrics) pushed(err error) {
	outcome := "sent"
	if e, ok := errors.AsType[*apns.Error](err); ok && e.Dead() {
		outcome = "dead"
	} else if err != nil {
		outcome = "failed"
	}
	m.pushes.WithLabelValues(outcome).Inc()
}

// timed measures the requests of one part.
func (m *metrics) timed(part string, next http.Handler) http.Handler {
	observe := m.requests.WithLabelValues(part)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		next.ServeHTTP(w, r)
		observe.Observe(time.Since(start).Seconds())
	})
}

// counted reads its numbers from the record when it is scraped.
type counted struct {
	s                                       *Server
	devices, waiting, pushes, drift, expiry *prometheus.Desc
	lostKey                                 *prometheus.Desc
	cases, orders                           *prometheus.Desc
	posture, blocked, verified, job, every  *prometheus.Desc
	streamAt, streamFailed, streamBehind    *prometheus.Desc
}

func (s *Server) counted() prometheus.Collector {
	return &counted{
		s:        s,
		devices:  prometheus.NewDesc("ward_devices", "Devices by state.", []string{"state"}, nil),
		waiting:  prometheus.NewDesc("ward_commands_open", "Commands that a device has not answered.", nil, nil),
		pushes:   prometheus.NewDesc("ward_pushes_owed", "Pushes that are owed.", nil, nil),
		drift:    prometheus.NewDesc("ward_drift_open", "What is otherwise on devices than the policy wants, by kind.", []string{"kind"}, nil),
		expiry:   prometheus.NewDesc("ward_expiry_timestamp_seconds", "When a certificate of the server's own expires, and the device identity that does first.", []string{"name"}, nil),
		lostKey:  prometheus.NewDesc("ward_issuer_key_lost", "1 for an issuer whose key was given up, so that it signs nothing.", []string{"name"}, nil),
		posture:  prometheus.NewDesc("ward_posture_devices", "Devices by posture, as the overview counts them.", []string{"state"}, nil),
		blocked:  prometheus.NewDesc("ward_blocked_app_devices", "Devices that have a blocked app, by the app.", []string{"app"}, nil),
		verified: prometheus.NewDesc("ward_audit_verified_timestamp_seconds", "When the whole audit log was last verified and was sound; 0 if it never was.", nil, nil),
		job:      prometheus.NewDesc("ward_job_success_timestamp_seconds", "When a job of the server last succeeded; since the start for one that has not yet.", []string{"job"}, nil),
		every:    prometheus.NewDesc("ward_job_every_seconds", "How often a job of the server is done at least.", []string{"job"}, nil),
		cases:    prometheus.NewDesc("ward_lost_cases_open", "Cases of lost devices that are open, without drills.", nil, nil),
		orders:   prometheus.NewDesc("ward_orders_waiting", "Orders that wait for signatures.", nil, nil),

		streamAt:     prometheus.NewDesc("ward_stream_sent_timestamp_seconds", "When a stream of the audit log was last taken.", []string{"name"}, nil),
		streamFailed: prometheus.NewDesc("ward_stream_failing", "1 for a stream of the audit log whose last attempt failed.", []string{"name"}, nil),
		streamBehind: prometheus.NewDesc("ward_stream_behind_entries", "Entries of the audit log that a stream has not had yet.", []string{"name"}, nil),
	}
}

// Describe meets prometheus.Collector.
func (c *counted) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.devices
	ch <- c.waiting
	ch <- c.pushes
	ch <- c.drift
	ch <- c.expiry
	ch <- c.lostKey
	ch <- c.posture
	ch <- c.blocked
	ch <- c.verified
	ch <- c.job
	ch <- c.every
	ch <- c.cases
	ch <- c.orders
	ch <- c.streamAt
	ch <- c.streamFailed
	ch <- c.streamBehind
}

// Collect meets prometheus.Collector.
func (c *counted) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n, err := c.s.db.Counts(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.devices, err)
		return
	}
	for state, count := range n.Devices {
		ch <- prometheus.MustNewConstMetric(c.devices, prometheus.GaugeValue, float64(count), state)
	}
	ch <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(n.OpenCommands))
	ch <- prometheus.MustNewConstMetric(c.pushes, prometheus.GaugeValue, float64(n.OwedPushes))
	for kind, count := range n.Drift {
		ch <- prometheus.MustNewConstMetric(c.drift, prometheus.GaugeValue, float64(count), kind)
	}
	c.collectPosture(ctx, ch)
	c.collectWork(ctx, ch)
	ch <- prometheus.MustNewConstMetric(c.cases, prometheus.GaugeValue, float64(n.OpenCases))
	ch <- prometheus.MustNewConstMetric(c.orders, prometheus.GaugeValue, float64(n.WaitingOrders))
	for _, p := range n.Streams {
		failing := 0.0
		if !p.Failed.IsZero() {
			failing = 1
		}
		ch <- prometheus.MustNewConstMetric(c.streamAt, prometheus.GaugeValue, float64(max(p.Sent.Unix(), 0)), p.Name)
		ch <- prometheus.MustNewConstMetric(c.streamFailed, prometheus.GaugeValue, failing, p.Name)
		ch <- prometheus.MustNewConstMetric(c.streamBehind, prometheus.GaugeValue, float64(max(n.AuditEntries-p.Next, 0)), p.Name)
	}
	all, err := authority{c.s}.watch().All(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.expiry, err)
	}
	for _, w := range all {
		ch <- prometheus.MustNewConstMetric(c.expiry, prometheus.GaugeValue, float64(w.NotAfter.Unix()), w.Name)
		if w.Lost {
			ch <- prometheus.MustNewConstMetric(c.lostKey, prometheus.GaugeValue, 1, w.Name)
		}
	}
}

// collectPosture counts as the overview does.
func (c *counted) collectPosture(ctx context.Context, ch chan<- prometheus.Metric) {
	now, err := c.s.Estate.Current(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.posture, err)
		return
	}
	counts := now.Counts(estate.Filter{})
	for _, state := range estate.Attention {
		ch <- prometheus.MustNewConstMetric(c.posture, prometheus.GaugeValue, float64(counts[state]), string(state))
	}
	apps := map[string]int{}
	for _, d := range now.Match(estate.Filter{Blocked: true}) {
		for _, f := range d.Findings {
			if f.Code == compliance.CodeBlockedApp {
				apps[f.Subject]++
			}
		}
	}
	for app, n := range apps {
		ch <- prometheus.MustNewConstMetric(c.blocked, prometheus.GaugeValue, float64(n), app)
	}
}

// collectWork tells of what the server does by itself.
func (c *counted) collectWork(ctx context.Context, ch chan<- prometheus.Metric) {
	last, err := c.s.Verifier.Last(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.verified, err)
	} else {
		at := 0.0
		if last.Sound && !last.At.IsZero() {
			at = float64(last.At.Unix())
		}
		ch <- prometheus.MustNewConstMetric(c.verified, prometheus.GaugeValue, at)
	}
	since, jobs := c.s.book.States()
	for _, j := range jobs {
		good := j.Good
		if good.IsZero() {
			good = since
		}
		ch <- prometheus.MustNewConstMetric(c.job, prometheus.GaugeValue, float64(good.Unix()), j.Name)
		ch <- prometheus.MustNewConstMetric(c.every, prometheus.GaugeValue, j.Every.Seconds(), j.Name)
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
