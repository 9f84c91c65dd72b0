package verify_test

import (
	"fmt"
	"strings"

	"github.com/wardmdm/ward/server/audit/verify"
)

func ExampleVerify() {
	const key = "ward.example+62038621+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
	const export = `{"type":"header","v":1,"log":"ward.example","checkpoint":"ward.example\n2\nZq4XCQoYtao//W/mlB2qXijdTQTGwVl5YBJK/W+tJB8=\n\n— ward.example YgOGIRlJ1Fq2tQ1wtytFTvus5++8JKyjU3JbQYSdZ9X4q4VLB2IeQIJ9JJrcMExFD9Z2SoMfZR0wl2iM6j7+1HY/Twk=\n"}
{"type":"entry","index":0,"leaf":"{\"v\":1,\"at\":\"2026-03-12T09:00:00Z\",\"action\":\"device.deed-a\",\"who\":\"5dq4LS54qBvEQoAqEYG3ofV6Z2KAgih-TCR-OPic-GE\",\"what\":\"UU_3RGn0imz84ymxSPiKBa3TmGzkfoHZbPVVqGporfs\"}"}
{"type":"entry","index":1,"leaf":"{\"v\":1,\"at\":\"2026-03-12T09:00:01Z\",\"action\":\"device.deed-b\",\"who\":\"0AFHWnX4BUUk8c2W0z1zhl8SfCWRGAOxlVoGt8vyCL8\",\"what\":\"pzeQU4sifY-o6cle_bN5uobciACNGTbGfpNdZo_eKrw\"}"}
`
	report, err := verify.Verify(strings.NewReader(export), verify.Options{PublicKey: key})
	fmt.Println(report.Size, report.Actions, err)
	_, err = verify.Verify(strings.NewReader(strings.Replace(export, "deed-a", "deed-c", 1)), verify.Options{PublicKey: key})
	fmt.Println(err)
	// Output:
	// 2 map[device.deed-a:1 device.deed-b:1] <nil>
	// the entries do not give the root that the checkpoint states: at least one was altered, swapped or replaced
}
