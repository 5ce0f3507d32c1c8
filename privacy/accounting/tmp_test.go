package accounting
import ("testing";"math/big")
func TestTmp(t *testing.T){
 for _,z:=range []float64{3,1.5}{ e:=SelfComposed{SampledWithoutReplacement{1000,100,Gaussian{z}},100}
  c,err:=RDP(e,DefaultOrders()); eps,o,_:=c.Epsilon(1e-6); t.Log(z,eps,o,err)}
 { e:=SelfComposed{SampledWithoutReplacement{100000,1000,Gaussian{.75}},500}
  c,err:=RDP(e,DefaultOrders()); eps,o,_:=c.Epsilon(1e-6); t.Log("want 1.6679242513583805",eps,o,err)}
 pg:=SelfComposed{PoissonSampled{.01,Gaussian{1.2}},1000}
 c,_:=RDP(pg,DefaultOrders()); eps,o,_:=c.Epsilon(9e-7); t.Log("want 2.1328605704866845 ",eps+.5,o)
 c,_=RDP(Composed{[]Event{pg,PureDP{.5}}},DefaultOrders()); eps,o,_=c.Epsilon(9e-7); t.Log("pure ",eps,o)
 eps,o,_=c.Epsilon(1e-6); t.Log("pure ",eps,o)
 rat:=func(f float64)*big.Rat{return new(big.Rat).SetFloat64(f)}
 os:=[]float64{}; for a:=2.;a<=128;a++{os=append(os,a)}; os=append(os,256)
 s:=13091.602874756249; dg:=DiscreteGaussianSum{rat(65460.52061947358),rat(s*s),100,1048576}
 c,err:=RDP(SelfComposed{PoissonSampled{.02,dg},500},os); eps,o,_=c.Epsilon(1e-6); t.Log("want 1.6154910345784304 12",eps,o,err)
 c,err=RDP(SelfComposed{PoissonSampled{.02,SkellamSum(dg)},500},os); eps,o,_=c.Epsilon(1e-6); t.Log("want 1.6154910346116238 12",eps,o,err)
}
