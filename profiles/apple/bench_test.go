package apple_test

import (
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/intent"
)

func BenchmarkCompile(b *testing.B) {
	w := full()
	at := intent.Target{Platform: ward.IOS, OS: intent.Version{Major: 18, Minor: 1}, Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := apple.Compile(w, at); err != nil {
			b.Fatal(err)
		}
	}
}
