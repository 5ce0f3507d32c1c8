package dataset
import ("testing";"os";"slices";"math/rand/v2")
func TestExp(t *testing.T){
 for _,d:=range []string{"ml-latest-small","ml-1m"}{
  ds,_,err:=Load(os.DirFS("/work/shared/data/"+d),Options{})
  if err!=nil{t.Fatal(err)}
  t.Logf("%+v",Statistics(ds))
  cnt:=make([]int,ds.Catalogue.Len())
  var l []int
  for _,u:=range ds.Users{l=append(l,len(u.History));for _,i:=range u.History{cnt[i]++}}
  slices.Sort(cnt);slices.Reverse(cnt);slices.Sort(l)
  t.Log(cnt[:10],cnt[100],cnt[300],cnt[1000],cnt[2000],cnt[3000],l[0],l[len(l)/10],l[len(l)/4],l[len(l)/2],l[3*len(l)/4],l[9*len(l)/10],l[len(l)-1])
  tie,same,day,tot:=0,0,0,0
  up:=0
  for _,u:=range ds.Users{for i:=1;i<len(u.Times);i++{tot++;dt:=u.Times[i]-u.Times[i-1]; if dt==0{tie++}; if dt<3600{same++}; if dt<86400{day++}; if u.History[i]>u.History[i-1]&&dt==0{up++}}}
  t.Log("ties",tie,up,"hour",same,"day",day,tot)
  // years of ratings, year lag
  for _,u:=range ds.Users{rand.Shuffle(len(u.History),func(i,j int){u.History[i],u.History[j]=u.History[j],u.History[i]})}
  t.Logf("shuffled %+v",Statistics(ds).TransitionEntropy)
 }
}
