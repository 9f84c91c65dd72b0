package estate

import (
	"encoding/binary"
	"strings"

	"github.com/rs/xid"
	"github.com/wardmdm/ward"
)

// column is a column of texts of which few kinds exist.
type column struct {
	All   []string
	Index []uint32
}

func (w column) at(i int) string { return w.All[w.Index[i]] }

// columnMaker collects a column.
type columnMaker struct {
	w     column
	index map[string]uint32
}

func (m *columnMaker) add(s string) {
	n, ok := m.index[s]
	if !ok {
		if m.index == nil {
			m.index = map[string]uint32{}
		}
		n = uint32(len(m.w.All)) //nolint:gosec // as many as there are devices at most
		m.index[s] = n
		m.w.All = append(m.w.All, s)
	}
	m.w.Index = append(m.w.Index, n)
}

func (m *columnMaker) done() column { return m.w }

// moments is a column of numbers by the planes of their bytes: first the lowest of each,
// then the next. The upper planes of times are nearly the same all along.
type moments []byte

func newMoments(all []uint32) moments {
	n := len(all)
	m := make(moments, 4*n)
	for i, v := range all {
		m[i], m[n+i], m[2*n+i], m[3*n+i] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24) //nolint:gosec // its bytes, one by one
	}
	return m
}

func (m moments) all() []uint32 {
	n := len(m) / 4
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(m[i]) | uint32(m[n+i])<<8 | uint32(m[2*n+i])<<16 | uint32(m[3*n+i])<<24
	}
	return out
}

// devicePrefix begins the ids that Ward gives.
const devicePrefix = "dev_"

// names is the column of ids. One that Ward gave is a time, what made it and a count, of
// which the first and the last run on from device to device; another one stands under Odd.
type names struct {
	Time, Count moments // each less the one before
	Origin      column  // "": an odd one
	Odd         []string
}

// newNames makes the column of the ids of devices in their order.
func newNames(ds []*Device) (out names) {
	var time, count []uint32
	var origin columnMaker
	var lastTime, lastCount uint32
	for _, d := range ds {
		raw, ok := strings.CutPrefix(string(d.ID), devicePrefix)
		id, err := xid.FromString(raw)
		if !ok || err != nil {
			time, count = append(time, 0), append(count, 0)
			origin.add("")
			out.Odd = append(out.Odd, string(d.ID))
			continue
		}
		t, n := binary.BigEndian.Uint32(id[:4]), uint32(id[9])<<16|uint32(id[10])<<8|uint32(id[11])
		time, count = append(time, t-lastTime), append(count, n-lastCount)
		origin.add(string(id[4:9]))
		lastTime, lastCount = t, n
	}
	out.Time, out.Count, out.Origin = newMoments(time), newMoments(count), origin.done()
	return out
}

func (c names) all() []ward.DeviceID {
	time, count := c.Time.all(), c.Count.all()
	out := make([]ward.DeviceID, len(time))
	var lastTime, lastCount uint32
	odd := 0
	for i := range out {
		origin := c.Origin.at(i)
		if origin == "" {
			if odd < len(c.Odd) {
				out[i] = ward.DeviceID(c.Odd[odd])
			}
			odd++
			continue
		}
		lastTime, lastCount = lastTime+time[i], lastCount+count[i]
		var id xid.ID
		binary.BigEndian.PutUint32(id[:4], lastTime)
		copy(id[4:9], origin)
		id[9], id[10], id[11] = byte(lastCount>>16), byte(lastCount>>8), byte(lastCount) //nolint:gosec // its lower bytes, one by one
		out[i] = ward.DeviceID(devicePrefix + id.String())
	}
	return out
}
