package profiles
import ("testing";"fmt";"time";"github.com/wardmdm/ward")
func TestZZ(t *testing.T){
 t0:=time.Now()
 p,err:=Parse(ExamplePolicy())
 if err!=nil{t.Fatal(err)}
 fmt.Println(time.Since(t0), len(p.compiled))
 for _,s:=range []Subject{{Device:ward.Device{Platform:ward.IOS,OSVersion:"18.6",Ownership:ward.Corporate},Supervised:ward.Supervised},{Device:ward.Device{Platform:ward.IOS,OSVersion:"18.6",Ownership:ward.Personal}}}{
  st:=Desired(s,p,time.Now())
  for _,pr:=range st.Profiles{fmt.Println(pr.Identifier,pr.Hash,string(pr.Payload))}
  for _,l:=range st.Limits{fmt.Printf("%s | %s | %s | %s\n",l.Intent,l.Verdict,l.Why,l.Cure)}
  fmt.Println(ClassOf(s))
 }
 st:=Desired(Subject{Device:ward.Device{Platform:ward.IOS,OSVersion:"18.6",Ownership:ward.Corporate},Supervised:ward.Supervised},p,time.Now())
 fmt.Printf("%+v\n",st.Apps)
}
