package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// figures are what one phase measured.
type figures struct {
	Name        string  `json:"name"`
	Devices     int     `json:"devices"`
	Requests    int     `json:"requests"`
	PerSecond   float64 `json:"requests_per_second"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	ServerCPU   float64 `json:"server_us_per_request"`
	DatabaseCPU float64 `json:"database_us_per_request"`
	CPU         float64 `json:"cpu_us_per_request"`
	Failures    int     `json:"failures"`
	Failure     string  `json:"failure,omitempty"` // one of them
}

// lossFigures are what reports of losses took until lost mode was acknowledged.
type lossFigures struct {
	Devices      int     `json:"devices"`
	Reports      int     `json:"reports"`
	CyclesASec   float64 `json:"other_cycles_per_second"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	Most         float64 `json:"most_ms"`
	Failures     int     `json:"failures"`
	Failure      string  `json:"failure,omitempty"`
	TrafficP99   float64 `json:"traffic_p99_ms"`
	EnrolledASec float64 `json:"enrolments_per_second"`

	// Returns are the phones that were reported lost while they were off; their times run
	// from when they were switched on.
	Returns    int     `json:"returns"`
	ReturnP50  float64 `json:"return_p50_ms"`
	ReturnP99  float64 `json:"return_p99_ms"`
	ReturnMost float64 `json:"return_most_ms"`
	Connected  int     `json:"still_connected"` // phones that answered when all was over
}

// note counts failures and keeps one of them.
func (f *lossFigures) note(errs ...error) {
	for _, err := range errs {
		if err != nil {
			f.Failures, f.Failure = f.Failures+1, err.Error()
		}
	}
}

// report is the outcome of a run.
type report struct {
	Database     string        `json:"database"`
	Phases       []figures     `json:"phases,omitempty"`
	Losses       *lossFigures  `json:"losses,omitempty"`
	Seeded       float64       `json:"seeded_s,omitempty"` // how long it took to make the devices
	Pages        []pageFigures `json:"pages,omitempty"`
	Visit        *visit        `json:"visit,omitempty"`
	ServerMemory int64         `json:"server_rss_bytes"`
}

func (r report) failures() (n int) {
	for _, f := range r.Phases {
		n += f.Failures
	}
	if r.Losses != nil {
		n += r.Losses.Failures
	}
	return n
}

// print shows the report to people.
func (r report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	var errs []error
	line := func(format string, a ...any) {
		_, err := fmt.Fprintf(t, format+"\n", a...)
		errs = append(errs, err)
	}
	line("database: %s", r.Database)
	if len(r.Phases) > 0 {
		line("phase\tdevices\trequests\treq/s\tp50 ms\tp99 ms\tserver us\tdatabase us\tCPU us/req\tfailures\t")
	}
	for _, f := range r.Phases {
		line("%s\t%d\t%d\t%.0f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%d\t", f.Name, f.Devices, f.Requests, f.PerSecond, f.P50, f.P99, f.ServerCPU, f.DatabaseCPU, f.CPU, f.Failures)
		if f.Failure != "" {
			line("one failure: %s", f.Failure)
		}
	}
	if l := r.Losses; l != nil {
		line("%d losses reported, %d phones connected, %.0f cycles/s of other traffic", l.Reports, l.Devices, l.CyclesASec)
		line("from the report to lost mode acknowledged: p50 %.0f ms, p99 %.0f ms, most %.0f ms; failures %d", l.P50, l.P99, l.Most, l.Failures)
		line("%d phones were off when they were reported; from switching on to lost mode acknowledged: p50 %.0f ms, p99 %.0f ms, most %.0f ms", l.Returns, l.ReturnP50, l.ReturnP99, l.ReturnMost)
		line("%d of %d phones answered when all was over", l.Connected, l.Devices+l.Returns)
		line("the other traffic's p99 was %.0f ms; phones enrolled at %.0f a second", l.TrafficP99, l.EnrolledASec)
		if l.Failure != "" {
			line("one failure: %s", l.Failure)
		}
	}
	if len(r.Pages) > 0 {
		line("page\tasked\tp50 ms\tp95 ms\tmost ms\tbytes\t")
	}
	for _, f := range r.Pages {
		line("%s\t%d\t%.1f\t%.1f\t%.1f\t%d\t", f.Name, f.Asked, f.P50, f.P95, f.Most, f.Bytes)
	}
	if v := r.Visit; v != nil {
		line("first visit: %d bytes of page, %d of style, %d of scripts, %d together; first paint %.0f ms", v.Page, v.Style, v.Script, v.Page+v.Style+v.Script, v.Paint)
	}
	line("server memory: %.0f MB", float64(r.ServerMemory)/1e6)
	return errors.Join(append(errs, t.Flush())...)
}

func join(errs ...error) error { return errors.Join(errs...) }
