import time
from hosts import *
def test_it(hospital):
    for h in hospital.lab.hosts:
        print(version_on(hospital.lab, h), appointment_on(h), answers(h), len(journal_on(hospital.lab,h)))
        print(journal_on(hospital.lab,h)[-1500:])
    t=time.time(); c=hospital.change_ready("3.5.10"); print(c,time.time()-t)
    import subprocess
    print(subprocess.run(f"du -sh {hospital.directory}/*; ls -R {hospital.directory}/state | head -60", shell=True,capture_output=True,text=True).stdout)
