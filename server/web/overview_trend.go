package web

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// fewest is the smallest number that trends and statistics of people's own devices tell.
const fewest = 5

// mostCuts is how many sites or wards one trend may add up.
const mostCuts = 20

// drawn is how many days of a trend are drawn; of a longer one every so manieth.
const drawn = 60

// cutsOf says which trends a filter adds up to; false where it divides devices by what no
// trend is kept of.
func cutsOf(f estate.Filter) ([]estate.Cut, bool) {
	rest := f
	rest.Sites, rest.Groups, rest.Platforms, rest.Ownership, rest.Scope, rest.Enrolled, rest.AsOf = nil, nil, nil, "", ward.Scope{}, false, time.Time{}
	if len(rest.Values()) > 0 {
		return nil, false
	}
	sites, ok := bounded(f.Sites, f.Scope.Sites)
	groups, also := bounded(f.Groups, f.Scope.Groups)
	if !ok || !also {
		return nil, false
	}
	var cuts []estate.Cut
	dimensions := 0
	add := func(by estate.Dimension, values []string) {
		if len(values) > 0 {
			dimensions++
		}
		for _, v := range values {
			cuts = append(cuts, estate.Cut{By: by, Value: v})
		}
	}
	add(estate.BySite, sites)
	add(estate.ByGroup, groups)
	add(estate.ByPlatform, texts(f.Platforms))
	add(estate.ByOwner, one(string(f.Ownership)))
	if dimensions == 0 {
		return []estate.Cut{{}}, true
	}
	return cuts, dimensions == 1 && len(cuts) <= mostCuts
}

// bounded is what is chosen within a scope; false where something chosen lies outside.
func bounded(chosen, scope []string) ([]string, bool) {
	if len(chosen) == 0 {
		return scope, true
	}
	if len(scope) == 0 {
		return chosen, true
	}
	for _, v := range chosen {
		if !slices.Contains(scope, v) {
			return nil, false
		}
	}
	return chosen, true
}

// trend reads the days; it returns why there is none.
func (o *overlook) trend(ctx context.Context) (string, error) {
	cuts, ok := cutsOf(o.f)
	if !ok {
		return textNoTrend, nil
	}
	sum := map[time.Time]*estate.Day{}
	var order []time.Time
	// The days are counted back from now; those wanted, from the moment that is shown.
	since := o.snap.At.AddDate(0, 0, -o.span-1)
	span := o.span + max(0, int(o.now.Sub(o.snap.At)/(24*time.Hour)))
	for _, c := range cuts {
		list, err := o.Fleet.Estate.Trend(ctx, c, span)
		if err != nil {
			return "", fmt.Errorf("trend: %w", err)
		}
		for _, d := range list {
			if d.Day.After(o.snap.At) || !d.Day.After(since) {
				continue
			}
			if sum[d.Day] == nil {
				sum[d.Day] = &estate.Day{Day: d.Day, States: map[compliance.State]int{}}
				order = append(order, d.Day)
			}
			addDay(sum[d.Day], d)
		}
	}
	slices.SortFunc(order, time.Time.Compare)
	for _, t := range order {
		o.days = append(o.days, *sum[t])
	}
	if len(o.days) == 0 {
		return textYoung, nil
	}
	return "", nil
}

func addDay(to *estate.Day, d estate.Day) {
	to.Devices += d.Devices
	for st, n := range d.States {
		to.States[st] += n
	}
	to.Blocked += d.Blocked
	to.AppReady += d.AppReady
	to.AppWant += d.AppWant
	to.NotSeen7 += d.NotSeen7
	to.NotSeen30 += d.NotSeen30
	to.OldOS += d.OldOS
}

// chart draws one number of each day; nil where there are fewer than two days.
func (o *overlook) chart(title, unit, tone string, of func(estate.Day) float64) *chartView {
	if len(o.days) < 2 {
		return nil
	}
	c := report.Chart{Title: title, Unit: unit, Series: []report.Series{{Name: title, Tone: tone}}}
	step := (len(o.days) + drawn - 1) / drawn
	for i := (len(o.days) - 1) % step; i < len(o.days); i += step { // the last day is always there
		c.Times = append(c.Times, o.days[i].Day)
		c.Series[0].Values = append(c.Series[0].Values, of(o.days[i]))
	}
	return sparkOf(c)
}

// enough is a number of a trend, not known where it is too small to be told.
func (o *overlook) enough(n int) float64 {
	if o.small(n) {
		return math.NaN()
	}
	return float64(n)
}

// share is n of total per cent, not known of nothing.
func share(n, total int) float64 {
	if total == 0 {
		return math.NaN()
	}
	return math.Round(float64(n)*1000/float64(total)) / 10
}

// percent never says that all or none are meant when it is not quite so.
func percent(n, total int) string {
	p := int(math.Round(float64(n) * 100 / float64(total)))
	switch {
	case n < total && p == 100:
		p = 99
	case n > 0 && p == 0:
		p = 1
	}
	return strconv.Itoa(p) + " %"
}

// spanWords says how long something took.
func spanWords(d time.Duration) string {
	const dayLong, yearLong = 24 * time.Hour, 365 * 24 * time.Hour
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	case d < 2*yearLong:
		return strconv.Itoa(int(d/dayLong)) + " days"
	}
	return strconv.Itoa(int(d/yearLong)) + " years"
}

// ends says when something ends.
func ends(t, now time.Time) string {
	if !t.After(now) {
		return textEnded
	}
	return fmt.Sprintf(textEndsIn, spanWords(t.Sub(now)))
}
